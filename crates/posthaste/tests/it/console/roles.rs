//! Every route, for every role: who may, who may not, and who does not even see that there is something.

use super::{Person, Seat, header, text_of};
use crate::server::{Store, World};
use domain::role::Role;
use http::Method;
use serde_json::json;
use std::fs;
use std::path::Path;

/// The routes of an application with the least role that may use each.
const OF_APPLICATION: &[(&str, &str, Role)] = &[
    ("GET", "/overview", Role::Viewer),
    ("GET", "/overview?period=month", Role::Viewer),
    ("GET", "/endpoint", Role::Viewer),
    ("GET", "/settings/webhooks", Role::Viewer),
    ("GET", "/endpoint/new", Role::Manager),
    ("POST", "/endpoint/new", Role::Manager),
    ("POST", "/endpoint/new/test", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}", Role::Viewer),
    ("GET", "/endpoint/{endpoint_id}/now", Role::Viewer),
    ("GET", "/endpoint/{endpoint_id}/settings", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/settings", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/settings/test", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}/verify", Role::Viewer),
    ("POST", "/endpoint/{endpoint_id}/verify", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}/disable", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/disable", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}/enable", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/enable", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/pause", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/resume", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}/delete", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/delete", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}/test", Role::Member),
    ("POST", "/endpoint/{endpoint_id}/test", Role::Member),
    ("GET", "/endpoint/{endpoint_id}/rotate", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/rotate", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}/recover", Role::Member),
    ("GET", "/endpoint/{endpoint_id}/recover?kind=failed&hours=1", Role::Member),
    ("POST", "/endpoint/{endpoint_id}/recover", Role::Member),
    ("GET", "/endpoint/{endpoint_id}/check", Role::Member),
    ("POST", "/endpoint/{endpoint_id}/check", Role::Member),
    ("GET", "/endpoint/{endpoint_id}/transformation", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/transformation", Role::Manager),
    ("GET", "/endpoint/{endpoint_id}/headers", Role::Viewer),
    ("POST", "/endpoint/{endpoint_id}/headers", Role::Manager),
    ("POST", "/endpoint/{endpoint_id}/task/{task_id}/cancel", Role::Member),
    ("HEAD", "/endpoint/{endpoint_id}/live", Role::Viewer),
    ("GET", "/event-type", Role::Viewer),
    ("GET", "/event-type/{name}", Role::Viewer),
    ("GET", "/log", Role::Viewer),
    ("HEAD", "/log/live", Role::Viewer),
    ("GET", "/msg/{message_id}", Role::Viewer),
    ("GET", "/msg/{message_id}/attempt/{attempt_id}", Role::Viewer),
    ("POST", "/msg/{message_id}/resend/{endpoint_id}", Role::Member),
    ("GET", "/member", Role::Administrator),
    ("POST", "/member", Role::Administrator),
    ("POST", "/member/{user_id}", Role::Administrator),
    ("GET", "/settings", Role::Viewer),
    ("GET", "/settings/notifications", Role::Viewer),
    ("POST", "/settings/notifications", Role::Manager),
    ("GET", "/docs", Role::Viewer),
    ("GET", "/audit", Role::Administrator),
    ("GET", "/audit?who=operator&what=endpoint.created&after=9", Role::Administrator),
    ("GET", "/endpoint?after=ep_00000000000000000000000000z", Role::Viewer),
    ("GET", "/log?event=invoice.paid", Role::Viewer),
];
/// Those of an application that are the operator's alone: for administrators of the whole instance.
const FOR_OPERATORS: &[(&str, &str)] = &[
    ("POST", "/settings"),
    ("GET", "/delete"),
    ("POST", "/delete"),
    ("GET", "/settings/keys"),
    ("POST", "/settings/keys"),
    ("POST", "/settings/keys/{key_id}/revoke"),
];
/// Those of an environment: for members of the whole instance.
const OF_INSTANCE: &[(&str, &str, Role)] = &[
    ("GET", "/{env_id}", Role::Viewer),
    ("GET", "/{env_id}/overview", Role::Viewer),
    ("GET", "/{env_id}/application", Role::Viewer),
    ("GET", "/{env_id}/application/new", Role::Administrator),
    ("POST", "/{env_id}/application", Role::Administrator),
    ("GET", "/{env_id}/member", Role::Administrator),
    ("POST", "/{env_id}/member", Role::Administrator),
    ("POST", "/{env_id}/member/{user_id}", Role::Administrator),
    ("GET", "/{env_id}/settings", Role::Viewer),
    ("POST", "/{env_id}/settings", Role::Administrator),
    ("GET", "/{env_id}/keys", Role::Administrator),
    ("POST", "/{env_id}/keys", Role::Administrator),
    ("POST", "/{env_id}/keys/{key_id}/revoke", Role::Administrator),
    ("GET", "/{env_id}/event-type", Role::Viewer),
    ("GET", "/{env_id}/event-type/{name}", Role::Viewer),
    ("GET", "/{env_id}/event-type/new", Role::Manager),
    ("POST", "/{env_id}/event-type/new", Role::Manager),
    ("GET", "/{env_id}/event-type/{name}/edit", Role::Manager),
    ("POST", "/{env_id}/event-type/{name}/edit", Role::Manager),
    ("POST", "/{env_id}/event-type/{name}/archive", Role::Manager),
    ("GET", "/{env_id}/audit", Role::Administrator),
];
/// Those that are for anybody, or for oneself alone: each has a test of its own.
const FOR_ANYBODY: &[&str] = &[
    "/",
    "/app/{app_id}",
    "/login",
    "/login/code",
    "/logout",
    "/oidc/begin",
    "/oidc/callback",
    "/forgot",
    "/setup/{link}",
    "/password/{link}",
    "/sign-in/{link}",
    "/account",
    "/account/name",
    "/account/password",
    "/account/totp",
    "/account/totp/off",
    "/static/{hash}/{name}",
    "/favicon.ico",
    "/operator/user",
    "/operator/user/link",
    "/operator/user/reset-totp",
    "/environment",
    "/app",
    "/docs/{env_id}",
    "/portal/{token}",
    "/brand/{hash}/brand.css",
    "/brand/{hash}/logo",
];

/// What every form holds, so that what refuses it is the role alone.
const FORM: [(&str, &str); 12] = [
    ("url", "https://hooks.example/in"),
    ("enabled", "on"),
    ("eventHeaders", "on"),
    ("signs.standard", "on"),
    ("event", "svix.ping"),
    ("kind", "failed"),
    ("hours", "1"),
    ("headers", "X-Team: billing"),
    ("email", "new@acme.example"),
    ("role", "viewer"),
    ("name", "New"),
    ("recovery", "none"),
];

/// What the paths name.
struct Things {
    application: String,
    message: String,
    attempt: String,
    user: String,
}

async fn things(world: &World) -> Things {
    let event_type = json!({"name": "invoice.paid", "description": "It is paid."});
    world.call("POST", "/api/v1/event-type", &event_type).await;
    world.endpoint("/first").await;
    let message = world.send().await;
    let attempt = crate::server::text(&world.wait_for_attempts(&message, 1).await[0]["id"]).to_owned();
    let seats = [Some(&*world.application), None].map(|application| Seat { application, role: Role::Viewer });
    super::link_of(world, "somebody@acme.example", &seats).await;
    let user = world.app().users().await.expect("users");
    let user = user.iter().find(|user| user.email.starts_with("somebody")).expect("somebody").id.clone();
    Things { application: world.application.clone(), message, attempt, user }
}

/// A request of this route, to a webhook that is there for it alone.
async fn ask(
    world: &World,
    person: &Person,
    (method, path): (&str, &str),
    things: &Things,
) -> testkit::Reply {
    let endpoint = world.endpoint("/hook").await;
    let path = path
        .replace("{endpoint_id}", &endpoint)
        .replace("{message_id}", &things.message)
        .replace("{attempt_id}", &things.attempt)
        .replace("{task_id}", "qtask_00000000000000000000000000z")
        .replace("{user_id}", &things.user)
        .replace("{key_id}", "key_00000000000000000000000000z")
        .replace("{name}", "invoice.paid")
        .replace("{env_id}", domain::environment::ENVIRONMENT_DEFAULT);
    match method {
        "POST" => person.post(&path, &FORM).await,
        method => person.request(method.parse::<Method>().expect("a method"), &path, &[], "").await,
    }
}

/// Whether the role was enough: anything but a refusal for its sake.
fn was_let_in(reply: &testkit::Reply) -> bool {
    let is_login = header(reply, "location").starts_with("/login");
    reply.status != 403 && !is_login && reply.status < 500
}

async fn each_route_is_for_its_least_role_and_those_above(store: Store) {
    let world = World::start(store).await;
    let things = things(&world).await;
    let other = world.call("POST", "/api/v1/app", &json!({"name": "Other"})).await;
    let other = crate::server::text(&other["id"]).to_owned();
    for role in Role::ALL {
        for (place, application) in [("application", Some(&*things.application)), ("instance", None)] {
            let email = format!("{role}-{place}@acme.example");
            let person = Person::of(&world, &email, &[Seat { application, role }]).await;
            for &(method, route, least) in OF_APPLICATION {
                let path = format!("/app/{}{route}", things.application);
                let reply = ask(&world, &person, (method, &path), &things).await;
                let told =
                    format!("{role} of the {place}: {method} {route}: {} {}", reply.status, text_of(&reply));
                assert_eq!(was_let_in(&reply), role >= least, "{told}");
                // Somebody else's application is not there, whatever the role.
                if application.is_some() {
                    let path = format!("/app/{other}{route}");
                    let reply = ask(&world, &person, (method, &path), &things).await;
                    let hidden = reply.status == 404 || route.starts_with("/settings");
                    assert!(hidden, "{role}: {method} {path}: {}", reply.status);
                }
            }
            for &(method, route) in FOR_OPERATORS {
                let path = format!("/app/{}{route}", things.application);
                let reply = ask(&world, &person, (method, &path), &things).await;
                let is_theirs = application.is_none() && role == Role::Administrator;
                assert_eq!(was_let_in(&reply), is_theirs, "{role} of the {place}: {method} {route}");
            }
            for &(method, route, least) in OF_INSTANCE {
                let path = format!("/environment{route}");
                let reply = ask(&world, &person, (method, &path), &things).await;
                let told = format!("{role} of the {place}: {method} {route}: {}", reply.status);
                match application {
                    None => assert_eq!(was_let_in(&reply), role >= least, "{told}"),
                    Some(_) => assert!(reply.status == 404 || route == "/{env_id}", "{told}"),
                }
            }
        }
    }
    world.stop().await;
}

async fn nobody_gets_anywhere_without_signing_in(store: Store) {
    let world = World::start(store).await;
    let things = things(&world).await;
    let stranger = Person::new(&world);
    let all = OF_APPLICATION
        .iter()
        .map(|(method, route, _)| (*method, format!("/app/{}{route}", things.application)));
    let own = FOR_OPERATORS.iter();
    let own = own.map(|(method, route)| (*method, format!("/app/{}{route}", things.application)));
    let all = all
        .chain(own)
        .chain(OF_INSTANCE.iter().map(|(method, route, _)| (*method, format!("/environment{route}"))));
    for (method, path) in all {
        let reply = ask(&world, &stranger, (method, &path), &things).await;
        let leads = header(&reply, "location");
        let is_redirect = path.ends_with("/settings/webhooks") || path.ends_with("/{env_id}");
        assert!(
            reply.status == 303 && (leads.starts_with("/login") || is_redirect),
            "{method} {path}: {} {leads}",
            reply.status
        );
    }
    world.stop().await;
}

/// A route that is in none of the tables above has no test.
#[test]
fn every_route_is_in_a_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/src");
    let mut missing = Vec::new();
    let mut routes = 0;
    for file in fs::read_dir(folder).expect("crates/web/src") {
        let text = fs::read_to_string(file.expect("a file").path()).expect("a source file");
        for after in text.split(".route(").skip(1) {
            let Some(route) = super::between(after, "\"", "\"") else { continue };
            routes += 1;
            let is_there = FOR_ANYBODY.contains(&route)
                || FOR_OPERATORS.iter().any(|(_, known)| *known == route)
                || OF_APPLICATION.iter().chain(OF_INSTANCE).any(|(_, known, _)| *known == route);
            if !is_there {
                missing.push(route.to_owned());
            }
        }
    }
    assert!(routes > 40, "the routes were not found: {routes}");
    assert!(missing.is_empty(), "who may use these? {missing:?}");
}

each_store!(each_route_is_for_its_least_role_and_those_above, nobody_gets_anywhere_without_signing_in,);
