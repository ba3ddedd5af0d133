//! Which answer comes next: a queue per path first, then that path's standing answer, then everyone's.

use std::collections::{HashMap, VecDeque};

use crate::Answer;

#[derive(Debug)]
pub(crate) struct Script {
    queued: HashMap<String, VecDeque<Answer>>,
    standing: HashMap<String, Answer>,
    otherwise: Answer,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { queued: HashMap::new(), standing: HashMap::new(), otherwise: Answer::status(200) }
    }

    pub(crate) fn push(&mut self, path: &str, answer: Answer) {
        self.queued.entry(path.to_owned()).or_default().push_back(answer);
    }

    pub(crate) fn set(&mut self, path: &str, answer: Answer) {
        self.standing.insert(path.to_owned(), answer);
    }

    pub(crate) fn set_otherwise(&mut self, answer: Answer) {
        self.otherwise = answer;
    }

    pub(crate) fn next(&mut self, path: &str) -> Answer {
        if let Some(answer) = self.queued.get_mut(path).and_then(VecDeque::pop_front) {
            return answer;
        }
        self.standing.get(path).unwrap_or(&self.otherwise).clone()
    }
}
