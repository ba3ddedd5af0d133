//! The audit log: entries are read newest first, by place, person and action; they are written with what they tell of, or not at all.

use crate::harness::{Engine, Fixture, START};
use domain::audit::{AUDIT_KEPT_MS, Action, Actor, ActorKind, Difference, NewEntry, Subject};
use domain::endpoint::Endpoint;
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::page::{From, Order, Page};
use serde_json::json;
use store::StoreError;
use store::audit::{AuditFilter, AuditOf};
use store::endpoint::{EndpointChange, NewEndpoint};

/// An entry of a place, by this person.
pub(crate) fn entry(
    (environment, application): (Option<EnvironmentKey>, Option<ApplicationKey>),
    actor: &str,
    action: Action,
) -> NewEntry {
    let id = format!("user_{actor}");
    NewEntry {
        at: START,
        environment,
        application,
        place: "Acme \"é\"".into(),
        actor: Actor { kind: ActorKind::User, id, name: format!("{actor}@acme.example") },
        address: "2001:db8::1".into(),
        action,
        subject: Subject { id: "ep_1".into(), name: "Orders \\ \t".into() },
        difference: Difference {
            before: Some(json!({"a": "\u{0}\"é\n"})),
            after: Some(json!({"a": [1, null]})),
        },
    }
}

async fn of(f: &Fixture, of: AuditOf, filter: AuditFilter) -> Vec<NewEntry> {
    let page = Page::first(250, Order::Descending);
    let found = f.store.audit_list(of, filter, page).await.unwrap();
    found.items.into_iter().map(|entry| entry.new).collect()
}

async fn all(f: &Fixture) -> Vec<NewEntry> {
    of(f, AuditOf::Environment(f.environment.key), AuditFilter::default()).await
}

async fn entries_are_read_as_they_were_written_in_the_places_that_they_concern(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (here, app) = (f.environment.key, ApplicationKey(7));
    let other = EnvironmentKey(here.0 + 1);
    let of_app = entry((Some(here), Some(app)), "ada", Action::EndpointDisabled);
    let of_other = entry((Some(here), Some(ApplicationKey(8))), "ada", Action::EndpointDeleted);
    let instance = NewEntry {
        difference: Difference::default(),
        actor: Actor::of(ActorKind::Operator),
        ..entry((None, None), "", Action::UserCreated)
    };
    let elsewhere = entry((Some(other), None), "bob", Action::EventTypeCreated);
    for one in [&of_app, &of_other, &instance, &elsewhere] {
        f.store.audit_add(one.clone()).await.unwrap();
    }
    assert_eq!(all(&f).await, [instance.clone(), of_other, of_app.clone()]);
    let at = |place| of(&f, place, AuditFilter::default());
    assert_eq!(at(AuditOf::Application(app)).await, [of_app]);
    assert_eq!(at(AuditOf::Environment(other)).await, [elsewhere, instance]);
    assert_eq!(at(AuditOf::Application(ApplicationKey(0))).await, []);
}

async fn entries_are_found_by_who_and_what(engine: Engine) {
    let f = Fixture::new(engine).await;
    let place = (Some(f.environment.key), None);
    for (actor, action) in [
        ("ada", Action::EventTypeCreated),
        ("bob", Action::EventTypeCreated),
        ("ada", Action::EventTypeDeleted),
    ] {
        f.store.audit_add(entry(place, actor, action)).await.unwrap();
    }
    let server =
        NewEntry { actor: Actor::of(ActorKind::Server), ..entry((None, None), "", Action::SignedIn) };
    f.store.audit_add(server).await.unwrap();
    let found = async |actor: &str, action: Option<Action>| {
        let actor = Some(actor.to_owned()).filter(|actor| !actor.is_empty());
        let found = of(&f, AuditOf::Environment(f.environment.key), AuditFilter { actor, action }).await;
        found.into_iter().map(|one| (one.actor.name, one.action)).collect::<Vec<_>>()
    };
    let (ada, bob) = ("ada@acme.example".to_owned(), "bob@acme.example".to_owned());
    let both = [(ada.clone(), Action::EventTypeDeleted), (ada.clone(), Action::EventTypeCreated)];
    assert_eq!(found("user_ada", None).await, both);
    assert_eq!(found("ada@acme.example", None).await, both);
    let made = Some(Action::EventTypeCreated);
    assert_eq!(found("", made).await, [(bob, Action::EventTypeCreated), both[1].clone()]);
    assert_eq!(found("user_ada", made).await, [both[1].clone()]);
    assert_eq!(found("server", None).await, [(String::new(), Action::SignedIn)]);
    assert_eq!(found("user_eve", None).await, []);
}

async fn a_page_follows_another_whichever_place_its_entries_are_of(engine: Engine) {
    let f = Fixture::new(engine).await;
    let environment = f.environment.key;
    for n in 0..7 {
        let place = if n % 3 == 0 { None } else { Some(environment) };
        f.store.audit_add(entry((place, None), &n.to_string(), Action::SignedIn)).await.unwrap();
    }
    let (mut from, mut seen) = (From::Start, Vec::new());
    loop {
        let page = Page { items: 3, order: Order::Descending, from };
        let slice = f.store.audit_list(AuditOf::Environment(environment), AuditFilter::default(), page).await;
        let slice = slice.unwrap();
        seen.extend(slice.items.iter().map(|entry| entry.new.actor.name[..1].to_owned()));
        let last = slice.items.last().unwrap().key;
        if slice.done {
            break;
        }
        from = From::After(last);
    }
    assert_eq!(seen.concat(), "6543210");
}

async fn an_entry_is_written_with_the_change_that_it_tells_of_or_not_at_all(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    let place = (Some(f.environment.key), Some(app.key));
    let told = |action| Some(entry(place, "ada", action));
    let change = |entry: Option<NewEntry>, is_refused| {
        let decide = move |there: &Endpoint| {
            if is_refused {
                return Err(StoreError::NotFound);
            }
            let (fields, entry) = (Some(there.fields.clone()), entry.clone());
            Ok(EndpointChange { fields, entry, ..EndpointChange::default() })
        };
        f.store.endpoint_update(endpoint.key, Box::new(decide))
    };
    change(told(Action::EndpointChanged), true).await.unwrap_err();
    assert_eq!(all(&f).await, []);
    change(told(Action::EndpointChanged), false).await.unwrap();
    f.store.endpoint_delete(endpoint.key, (None, told(Action::EndpointDeleted))).await.unwrap();
    f.store.endpoint_delete(endpoint.key, (None, told(Action::EndpointDeleted))).await.unwrap_err();
    let new = |application, uid: &str| NewEndpoint {
        id: f.id(domain::wire_id::Kind::Endpoint),
        application,
        fields: domain::endpoint::EndpointFields { uid: Some(uid.into()), ..endpoint.fields.clone() },
        headers: Vec::new(),
        secrets: endpoint.secrets.clone(),
        credentials: endpoint.credentials.clone(),
        notice: None,
        entry: told(Action::EndpointCreated),
    };
    f.store.endpoint_create(new(app.key, "one")).await.unwrap();
    f.store.endpoint_create(new(app.key, "one")).await.unwrap_err();
    f.store.endpoint_create(new(ApplicationKey(999), "two")).await.unwrap_err();
    let actions: Vec<_> = all(&f).await.into_iter().map(|one| one.action).collect();
    use Action::{EndpointChanged, EndpointCreated, EndpointDeleted};
    assert_eq!(actions, [EndpointCreated, EndpointDeleted, EndpointChanged]);
}

async fn entries_are_kept_for_400_days_however_long_messages_are(engine: Engine) {
    let f = Fixture::new(engine).await;
    for ms in [0, 1, 2, 3] {
        let one = entry((None, None), &ms.to_string(), Action::SignedIn);
        f.store.audit_add(NewEntry { at: START.plus_ms(ms), ..one }).await.unwrap();
    }
    let now = START.plus_ms(AUDIT_KEPT_MS + 3);
    let step = async |now| f.store.prune_step(START, now, 2).await.unwrap().entries;
    assert_eq!(step(START.plus_ms(AUDIT_KEPT_MS)).await, 0);
    assert_eq!([step(now).await, step(now).await, step(now).await], [2, 1, 0]);
    assert_eq!(all(&f).await.into_iter().map(|one| one.at).collect::<Vec<_>>(), [START.plus_ms(3)]);
}

each_engine!(
    entries_are_read_as_they_were_written_in_the_places_that_they_concern,
    entries_are_found_by_who_and_what,
    a_page_follows_another_whichever_place_its_entries_are_of,
    an_entry_is_written_with_the_change_that_it_tells_of_or_not_at_all,
    entries_are_kept_for_400_days_however_long_messages_are,
);
