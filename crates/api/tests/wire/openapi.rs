//! The generated document against facts about the wire, copied into `operations.txt` and `schemas.txt`.

use crate::world::World;
use serde_json::Value;
use std::collections::BTreeSet;

const OPERATIONS: &str = include_str!("operations.txt");
const SCHEMAS: &str = include_str!("schemas.txt");

fn document() -> Value {
    serde_json::to_value(api::openapi()).unwrap()
}

/// The last part of a reference, generic names in the wire's spelling.
fn name_of(schema: &Value) -> String {
    let reference = schema["$ref"].as_str().unwrap_or_default();
    reference.rsplit('/').next().unwrap_or_default().trim_end_matches('_').to_owned()
}

/// A schema's properties and which of them are required, flattened parts included.
fn properties(document: &Value, schema: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut found = (BTreeSet::new(), BTreeSet::new());
    let reference = name_of(schema);
    if !reference.is_empty() {
        return properties(document, &document["components"]["schemas"][reference]);
    }
    found.0.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    found.1.extend(
        schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()),
    );
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (names, required) = properties(document, part);
        found.0.extend(names);
        found.1.extend(required);
    }
    found
}

#[test]
fn every_core_operation_is_described_as_the_wire_has_it() {
    let document = document();
    let mut at = Value::Null;
    let mut place = String::new();
    for line in OPERATIONS.lines().skip(1) {
        let Some((word, rest)) = line.trim().split_once(' ') else { continue };
        match word {
            "id" => assert_eq!(at["operationId"], rest, "{place}"),
            "query" => {
                for name in rest.split(' ') {
                    let parameters = at["parameters"].as_array().unwrap();
                    let known = parameters.iter().any(|p| p["in"] == "query" && p["name"] == name);
                    // These lists have one order.
                    let fixed = name == "order" && !place.ends_with("endpoint");
                    assert!(known || fixed, "{place}: the parameter {name}");
                }
            }
            "body" => {
                let schema = &at["requestBody"]["content"]["application/json"]["schema"];
                assert_eq!(name_of(schema), rest, "{place}");
            }
            "answers" => {
                for answer in rest.split(", ") {
                    let (status, schema) = answer.split_once(' ').unwrap_or((answer, ""));
                    let response = &at["responses"][status];
                    assert!(response.is_object(), "{place}: {status}");
                    if !schema.is_empty() {
                        let shown = name_of(&response["content"]["application/json"]["schema"]);
                        assert_eq!(shown, schema.trim_end_matches('_'), "{place}");
                    }
                }
            }
            method => {
                place = line.to_owned();
                at = document["paths"][rest][method.to_lowercase()].clone();
                assert!(at.is_object(), "{place} is not described");
            }
        }
    }
}

#[test]
fn every_schema_has_the_wires_properties() {
    let document = document();
    let mut lines = SCHEMAS.lines().skip(1);
    while let (Some(name), Some(listed)) = (lines.next(), lines.next()) {
        let schema = &document["components"]["schemas"][name];
        assert!(schema.is_object(), "{name} is not described");
        let (names, required) = properties(&document, schema);
        for property in listed.split_whitespace() {
            let bare = property.trim_end_matches('!');
            assert!(names.contains(bare), "{name}.{bare}");
            if property.ends_with('!') {
                assert!(required.contains(bare), "{name}.{bare} must be required");
            }
        }
    }
}

#[test]
fn every_route_has_an_id_a_tag_and_a_text() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{place}");
            assert!(operation["tags"][0].is_string(), "{place}");
            assert!(ids.insert(operation["operationId"].to_string()), "{place}: the id is used twice");
        }
    }
}

/// Every described route is served: none of them answers "no such route" or "no such method".
#[tokio::test]
async fn every_described_route_answers() {
    let world = World::new();
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.trim_start_matches("/api/v1").replace(['{', '}'], "");
            let method = method.to_uppercase().parse().unwrap();
            let reply = world.send(method, &path, &[("authorization", "Bearer junk")], "").await;
            let open = path.starts_with("/health");
            assert!(if open { reply.status < 300 } else { reply.status == 401 }, "{path}: {}", reply.status);
        }
    }
    let served = world.get("/openapi.json").await;
    assert_eq!(served.json, document);
}
