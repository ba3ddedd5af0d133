//! What a filter can cost at most, known from its text: CEL cannot be stopped once it runs.
//!
//! A part costs one step each time it is evaluated. A call is dear where it reads values of the event whole (`contains`, `in`,
//! `==` between two of them, `+`): then it may cost as many steps as the event has bytes. A part inside a loop costs that for
//! each value of the event; one that makes a list (`map`, `filter`) copies what it has made each time, as if it were two.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, operators,
};
use regex::RegexBuilder;

/// Loops inside of loops; one that makes a list counts twice.
const LOOPS_MAX: usize = 3;
/// Parts inside of parts: each is a frame of the stack.
const DEPTH_MAX: usize = 256;
/// Additions, each of which copies a text or a list.
const ADDITIONS_MAX: usize = 16;
/// Patterns, each of which is compiled whenever it is asked.
const PATTERNS_MAX: usize = 16;
/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Steps of one part, and of the compilation of a pattern, next to that of reading a byte.
const PART_STEPS: u64 = 32;
const PATTERN_STEPS: u64 = 64 << 10;

/// Operators that read no value whole.
const CHEAP: [&str; 9] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::NEGATE,
];
/// Operators that read no more than the smaller one of two values.
const COMPARING: [&str; 6] = [
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
];

/// Steps for each value of an event, and for each of its bytes, by how many loops they stand in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost([Level; LOOPS_MAX + 1]);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Level {
    steps: u64,
    /// Steps for each byte.
    dear: u64,
}

impl Cost {
    /// Steps for an event of so many values and bytes.
    pub(crate) fn of(&self, values: u64, bytes: u64) -> u64 {
        let at = |(loops, level): (u32, &Level)| {
            let once = level.dear.saturating_mul(bytes).saturating_add(level.steps);
            values.saturating_pow(loops).saturating_mul(once)
        };
        (0..).zip(&self.0).map(at).fold(0, u64::saturating_add)
    }
}

/// Reads what a filter costs.
///
/// # Errors
/// A sentence, where it could cost too much whatever the event is.
pub(crate) fn of<'a>(expression: &'a IdedExpr, bound: &mut Vec<&'a str>) -> Result<Cost, String> {
    let mut reader =
        Reader { bound, own: 0, loops: 0, depth: 0, additions: 0, patterns: 0, cost: Cost::default() };
    reader.read(expression)?;
    Ok(reader.cost)
}

struct Reader<'b, 'a> {
    /// Names that loops have bound; those from `own` on by the innermost loop.
    bound: &'b mut Vec<&'a str>,
    own: usize,
    loops: usize,
    depth: usize,
    additions: usize,
    patterns: usize,
    cost: Cost,
}

impl<'a> Reader<'_, 'a> {
    fn read(&mut self, expression: &'a IdedExpr) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("is nested deeper than {DEPTH_MAX} (filter_depth_max)"));
        }
        self.cost.0[self.loops].steps += PART_STEPS;
        match &expression.expr {
            Expr::Call(call) => self.call(call)?,
            Expr::Comprehension(inner) => self.comprehension(inner)?,
            Expr::List(list) => list.elements.iter().try_for_each(|part| self.read(part))?,
            Expr::Select(select) => self.read(&select.operand)?,
            Expr::Map(map) => map.entries.iter().flat_map(entry).try_for_each(|part| self.read(part))?,
            Expr::Struct(object) => {
                object.entries.iter().flat_map(entry).try_for_each(|part| self.read(part))?
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<(), String> {
        let parts = || call.target.as_deref().into_iter().chain(&call.args);
        let name = &*call.func_name;
        if name == "matches" {
            self.pattern(call.args.last())?;
        }
        let of_event = parts().filter(|part| self.is_of_event(part)).count();
        let is_accumulating =
            parts().any(|part| matches!(&part.expr, Expr::Ident(name) if name.starts_with('@')));
        if name == operators::ADD && !is_accumulating {
            self.additions += 1;
            if self.additions > ADDITIONS_MAX {
                return Err(format!("adds more than {ADDITIONS_MAX} times (filter_additions_max)"));
            }
        }
        let reads = if COMPARING.contains(&name) { of_event == parts().count() } else { of_event > 0 };
        if reads && !CHEAP.contains(&name) {
            // What adds to a sum reads all of it again.
            self.cost.0[self.loops].dear += if name == operators::ADD { self.additions as u64 } else { 1 };
        }
        parts().try_for_each(|part| self.read(part))
    }

    /// A pattern is written out, and small: it is compiled on each call.
    fn pattern(&mut self, given: Option<&IdedExpr>) -> Result<(), String> {
        let Some(Expr::Literal(LiteralValue::String(pattern))) = given.map(|given| &given.expr) else {
            return Err("`matches` must be given its pattern as a text in quotes".to_owned());
        };
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(format!("has more than {PATTERNS_MAX} patterns (filter_patterns_max)"));
        }
        self.cost.0[self.loops].steps += PATTERN_STEPS;
        let read = RegexBuilder::new(pattern.inner()).size_limit(PATTERN_BYTES_MAX).build();
        read.map(drop).map_err(|error| format!("has a pattern that cannot be used: {error}"))
    }

    fn comprehension(&mut self, inner: &'a ComprehensionExpr) -> Result<(), String> {
        self.read(&inner.iter_range)?;
        self.read(&inner.accu_init)?;
        let makes_list = usize::from(matches!(inner.accu_init.expr, Expr::List(_)));
        let (loops, own) = (self.loops, self.own);
        self.loops += 1 + makes_list;
        if self.loops > LOOPS_MAX {
            return Err(format!("has more than {LOOPS_MAX} loops inside each other (filter_loops_max)"));
        }
        self.own = self.bound.len();
        self.bound.extend([&*inner.iter_var, &*inner.accu_var].into_iter().chain(inner.iter_var2.as_deref()));
        for part in [&inner.loop_cond, &inner.loop_step, &inner.result] {
            self.read(part)?;
        }
        (self.loops, self.own) = (loops, own);
        Ok(())
    }

    /// Whether a part reads anything but literals and what the innermost loop hands it: all that one loop hands out together
    /// is no more than the event.
    fn is_of_event(&self, part: &IdedExpr) -> bool {
        match &part.expr {
            Expr::Ident(name) => {
                !self.bound[self.own.min(self.bound.len())..].contains(&&**name) || self.loops == 0
            }
            Expr::Call(call) => {
                call.target.as_deref().into_iter().chain(&call.args).any(|part| self.is_of_event(part))
            }
            Expr::Select(select) => self.is_of_event(&select.operand),
            Expr::List(list) => list.elements.iter().any(|part| self.is_of_event(part)),
            Expr::Map(map) => map.entries.iter().flat_map(entry).any(|part| self.is_of_event(part)),
            Expr::Struct(object) => object.entries.iter().flat_map(entry).any(|part| self.is_of_event(part)),
            Expr::Comprehension(_) => true,
            Expr::Unspecified | Expr::Literal(_) => false,
        }
    }
}

fn entry(entry: &IdedEntryExpr) -> Vec<&IdedExpr> {
    match &entry.expr {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(pair) => vec![&pair.key, &pair.value],
    }
}
