use super::*;
use bytes::Bytes;
use domain::attempt::{NewAttempt, Outcome, Trigger};
use domain::clock::Timestamp;

fn slice(ids: &[i64], done: bool) -> Slice<Attempt> {
    let attempt = |id: &i64| Attempt {
        id: AttemptId(*id),
        record: NewAttempt {
            message: MessageId(1),
            endpoint: EndpointKey(1),
            run: 0,
            number: 1,
            trigger: Trigger::Message,
            outcome: Outcome::BadStatus,
            disposition: Disposition::Failed,
            started_at: Timestamp(0),
            duration_ms: 1,
            status: 500,
            url: String::new(),
            response: Bytes::new(),
        },
    };
    Slice { items: ids.iter().map(attempt).collect(), done }
}

fn ids(slice: &Slice<Attempt>) -> (Vec<i64>, bool) {
    (slice.items.iter().map(|attempt| attempt.id.0).collect(), slice.done)
}

#[test]
fn two_lists_merge_into_one_page() {
    let page = |items, from| Page { items, order: Order::Descending, from };
    let merged = merge(slice(&[9, 5], true), slice(&[8, 7], true), &page(4, From::Start));
    assert_eq!(ids(&merged), (vec![9, 8, 7, 5], true));
    let merged = merge(slice(&[9, 5], true), slice(&[8, 7], true), &page(3, From::Start));
    assert_eq!(ids(&merged), (vec![9, 8, 7], false));
    let merged = merge(slice(&[9, 5], false), slice(&[8], true), &page(3, From::Start));
    assert_eq!(ids(&merged), (vec![9, 8, 5], false));
}

#[test]
fn a_page_backwards_keeps_the_items_nearest_to_its_bound() {
    let page = Page { items: 2, order: Order::Descending, from: From::Before(AttemptId(1)) };
    let merged = merge(slice(&[9, 3], false), slice(&[8, 2], false), &page);
    assert_eq!(ids(&merged), (vec![3, 2], false));
}
