//! The API document: complete, without contradictions, and true. Every answer that any test of this binary gets
//! through a client is held against it.

use crate::browser::{Browser, Window};
use crate::client::{Answer, Client};
use crate::schema::check;
use crate::stack::{Stack, has_processes, shared};
use serde_json::{Value, json};
use service_kit::openapi::{Document, merge, operations};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

/// The services' own documents by their names in the settings.
fn parts() -> [(&'static str, Document); 4] {
    [
        ("im_auth", svc_im_auth::document()),
        ("terminal_user", svc_terminal_user::document()),
        ("groups", svc_groups::document()),
        ("friends", svc_friends::document()),
    ]
}

static WHOLE: LazyLock<Value> = LazyLock::new(|| {
    let parts = parts();
    merge(json!({"title": "all"}), parts.iter().map(|(name, document)| (*name, document.value()))).document
});

/// Holds an answer against the document, if it speaks of the call.
#[track_caller]
pub fn holds(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = find(&WHOLE, method, path) else { return };
    if let Err(why) = conforms(&WHOLE, operation, answer) {
        panic!("{method} {path} is not as documented: {why}\n{answer:?}");
    }
}

/// The operation of a call: the path with the fewest parameters that fits.
fn find<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let fits = |template: &str| {
        let (template, path) = (template.trim_end_matches('/').split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template.zip(path).all(|(t, p)| t.starts_with('{') || t == p)
    };
    let mut found: Vec<_> =
        operations(document).filter(|(template, m, _)| m.eq_ignore_ascii_case(method) && fits(template)).collect();
    found.sort_by_key(|(template, ..)| template.matches('{').count());
    found.first().map(|(.., operation)| *operation)
}

fn conforms(document: &Value, operation: &Value, answer: &Answer) -> Result<(), String> {
    let status = answer.status.to_string();
    let documented = operation["responses"].get(&status).ok_or_else(|| format!("no answer with status {status}"))?;
    let documented = resolved(document, documented);
    for (name, header) in documented["headers"].as_object().into_iter().flatten() {
        match answer.header(name) {
            None if header["required"] == true => return Err(format!("no {name}")),
            None => {}
            Some(value) => {
                let value = match header["schema"]["type"].as_str() {
                    Some("integer") => value.parse().map(|n: i64| json!(n)).map_err(|e| format!("{name}: {e}"))?,
                    _ => json!(value),
                };
                check(document, &header["schema"], &value).map_err(|why| format!("{name}: {why}"))?;
            }
        }
    }
    let Some(content) = documented["content"].as_object() else { return Ok(()) };
    let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let Some(content) = content.get(kind) else { return Err(format!("no answer of type {kind:?}")) };
    if kind != "application/json" {
        return Ok(());
    }
    let body = serde_json::from_str(&answer.text).map_err(|e| format!("not JSON: {e}"))?;
    check(document, &content["schema"], &body)
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

#[test]
fn services_claim_no_call_and_no_name_twice() {
    let parts = parts().map(|(name, document)| (name, document.value()));
    let merged = merge(json!({}), parts.clone());
    assert_eq!(merged.clashes, Vec::<String>::new());
    for kind in ["schemas", "responses", "securitySchemes"] {
        let own: usize =
            parts.iter().filter_map(|(_, part)| part["components"][kind].as_object()).map(|all| all.len()).sum();
        assert_eq!(merged.document["components"][kind].as_object().unwrap().len(), own, "{kind}");
    }
}

#[test]
fn no_two_types_of_a_service_have_one_name() {
    for service in ["svc-im-auth", "svc-terminal-user", "svc-groups", "svc-friends"] {
        let folder = format!("{}/../{service}/src/handlers", env!("CARGO_MANIFEST_DIR"));
        let mut names = BTreeSet::new();
        for name in schema_names(folder.as_ref()) {
            assert!(names.insert(name.clone()), "{service} has two types that the document calls {name}");
        }
        assert!(!names.is_empty(), "{folder}");
    }
}

/// Names of the types with `ToSchema` in the files of a folder. (utoipa lets the last of one name win, silently.)
fn schema_names(folder: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            names.extend(schema_names(&entry));
            continue;
        }
        let text = std::fs::read_to_string(&entry).unwrap();
        for rest in text.split("#[derive(").skip(1).filter(|rest| rest.split(')').next().unwrap().contains("ToSchema"))
        {
            let item = rest.split('{').next().unwrap();
            let own = item.rsplit_once("struct ").or_else(|| item.rsplit_once("enum ")).unwrap().1.trim();
            let renamed = item.split("schema(as = ").nth(1).and_then(|r| r.split(')').next());
            names.push(renamed.unwrap_or(own).to_owned());
        }
    }
    names
}

#[test]
fn operations_have_ids_of_their_own_and_gets_no_body() {
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&WHOLE) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(!id.is_empty() && ids.insert(id), "{method} {path}: {id}");
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{method} {path}");
        assert!(method != "get" || operation.get("requestBody").is_none(), "{path}");
        let placeholders: BTreeSet<_> =
            path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters: BTreeSet<_> = (operation["parameters"].as_array().into_iter().flatten())
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(placeholders, parameters, "{method} {path}");
        for extension in ["x-fails", "x-bare", "x-file", "x-failures"] {
            assert!(operation.get(extension).is_none(), "{extension}: {path}");
        }
    }
    assert!(ids.len() > 60, "{}", ids.len());
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&WHOLE, &mut found);
    assert!(found.len() > 500, "{}", found.len());
    for reference in found {
        assert!(WHOLE.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for (path, _, operation) in operations(&WHOLE) {
        for name in operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten() {
            assert!(WHOLE["components"]["securitySchemes"].get(name.0).is_some(), "{path}: {}", name.0);
        }
    }
}

/// Requests and answers of the documents 000 to 004, and ours.
#[test]
fn examples_are_what_the_schemas_say() {
    let mut checked = 0;
    for (path, method, operation) in operations(&WHOLE) {
        let answers = operation["responses"].as_object().unwrap().values().map(|answer| resolved(&WHOLE, answer));
        for body in answers.chain(operation.get("requestBody")) {
            for content in body["content"].as_object().into_iter().flat_map(|kinds| kinds.values()) {
                let named =
                    content["examples"].as_object().into_iter().flat_map(|all| all.values()).map(|one| &one["value"]);
                for example in content.get("example").into_iter().chain(named) {
                    check(&WHOLE, &content["schema"], example)
                        .unwrap_or_else(|e| panic!("{method} {path}: {e}: {example}"));
                    checked += 1;
                }
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if let Some(example) = parameter.get("example") {
                check(&WHOLE, &parameter["schema"], example).unwrap_or_else(|e| panic!("{method} {path}: {e}"));
            }
        }
    }
    assert!(checked > 150, "{checked}");
}

/// As forms send what was not filled in.
#[test]
fn optional_fields_that_may_be_empty_are_documented_so() {
    let fields = [
        ("/auth/user_register", "gender"),
        ("/user/update_user_info", "gender"),
        ("/user/update_user_info", "expert_status"),
        ("/user/update_user_info", "yue"),
        ("/user/update_user_info", "jifen"),
        ("/im/user_get_token/", "platform"),
        ("/im/{group_id}/group_get_user_list/", "page"),
        ("/im/{group_id}/group_get_user_list/", "size"),
        ("/tu_rc_get_urt_from_hp.action", "platform"),
        ("/tu_rc_get_usr_from_hp.action", "tuser_key"),
        ("/tu_rc_get_usr_from_hp.action", "type"),
        ("/tu_ua_get_info_from_tn.action", "tuser_key"),
        ("/tu_ua_get_info_from_tn.action", "user_id"),
        ("/tu_rk_replace_from_tn.action", "tuser_key_s"),
        ("/tu_rk_replace_from_tn.action", "tuser_uid_s"),
    ];
    for (path, field) in fields {
        let bodies = &WHOLE["paths"][path]["post"]["requestBody"]["content"];
        let schema = bodies.as_object().unwrap().values().next().unwrap();
        let schema = &resolved(&WHOLE, &schema["schema"])["properties"][field];
        check(&WHOLE, schema, &json!("")).unwrap_or_else(|e| panic!("{path} {field}: {e}"));
    }
}

#[tokio::test]
async fn the_gateway_serves_the_documents_of_all_services_as_one() {
    let kith = shared().await;
    let answer = kith.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let served = answer.json();
    assert_eq!(served["openapi"], "3.1.0");
    assert_eq!(served.get("x-kith-missing"), None);
    let calls = |document: &Value| -> BTreeSet<String> {
        operations(document).map(|(path, method, _)| format!("{method} {path}")).collect()
    };
    let own = ["/", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/docs.css", "/docs/docs.js"];
    let mut expected = calls(&WHOLE);
    expected.extend(own.map(|path| format!("get {path}")));
    assert_eq!(calls(&served), expected);
    for path in own {
        let answer = kith.get(path).await;
        let operation = find(&served, "get", path).unwrap();
        conforms(&served, operation, &answer).unwrap_or_else(|why| panic!("{path}: {why}"));
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(kith.post(path, json!({})).await.status, 405, "{path}");
    }
    let tag = answer.header("etag").unwrap().to_owned();
    let again = kith.request(reqwest::Method::GET, "/openapi.json").header("if-none-match", &tag);
    let again = kith.send(again).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
}

#[tokio::test]
async fn whoever_wants_to_keep_it_to_himself_can() {
    let stack = Stack::start(&[("KITH__GATEWAY__DOCS", "false")]).await;
    for path in ["/openapi.json", "/docs", "/docs/docs.js"] {
        assert_eq!(stack.client().get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn people_read_and_search_it_at_docs() {
    let kith = shared().await;
    let browser = Browser::start(Window::Phone, "en").await;
    browser.open(&format!("{}/docs#user_register", kith.url)).await;
    browser.says("B: accounts and tokens, for app servers").await;
    // The call that the address names is open, with fields, failures and examples.
    for text in ["AppServer secret; names the app.", "601 already registered", "d5645454517", "X-Request-Id"] {
        browser.says(text).await;
    }
    let shown =
        "return [...document.querySelectorAll('main section > details')].filter(d => d.offsetParent).map(d => d.id)";
    assert!(browser.run(shown).await.as_array().unwrap().len() > 70);
    let find = "const f = document.getElementById('find'); f.value = 'getFriends post';
        f.dispatchEvent(new Event('input'));";
    browser.run(find).await;
    assert_eq!(browser.run(shown).await, json!(["get_friends"]));
    let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.run(overflow).await, 0, "wider than a phone");
}

#[tokio::test]
async fn routes_take_the_documented_methods_and_no_others() {
    let kith = shared().await;
    let all = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    let paths: BTreeSet<_> = operations(&WHOLE).map(|(path, ..)| path).collect();
    for path in paths {
        let concrete = path
            .replace("{SoftVersion}", "2013-12-26")
            .replace("{appId}", "kith")
            .replace("{group_id}", "1")
            .replace("{name}", "x.png");
        for method in all {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let answer = kith.send(kith.request(method.clone(), &concrete)).await;
            if path == "/ws" {
                // Contract §2: without an upgrade there is no such call.
                assert_eq!(answer.status, 404, "{method}");
                continue;
            }
            let is_documented = find(&WHOLE, method.as_str(), &concrete).is_some();
            assert_eq!(answer.status != 405, is_documented, "{method} {concrete}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn calls_that_change_something_are_not_for_head() {
    let kith = shared().await;
    let name = crate::stack::name("head");
    let changes = [
        format!("/cmd?cmd=reg_user&username={name}&password=password-1"),
        format!("/tu_rc_sync_urb_from_hp.action?tuser_key={name}&name=x"),
        format!("/tu_rc_get_urt_from_hp.action?tuser_key={name}"),
        format!("/tu_sync_record_from_tn.action?tuser_key={name}&kind=click&record_id=1"),
        format!("/ua_reg_user_from_hp.action?user_key={name}&type=reg"),
    ];
    for path in changes {
        let answer = kith.send(kith.request(reqwest::Method::HEAD, &path)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")), "{path}");
    }
    kith.userinfo(&name).await.fails_c("no such user");
    let status = format!("/tu_ua_get_status_from_tn.action?tuser_key={name}");
    assert_eq!(kith.get(&status).await.json()["rs"], "-1", "nothing was registered");
    let answer = kith.send(kith.request(reqwest::Method::HEAD, &status)).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""), "reading is");
}

#[tokio::test]
async fn a_service_that_was_never_there_is_left_out_and_named() {
    if !has_processes() {
        // Its services are there before the gateway is.
        return;
    }
    let mut stack = Stack::start(&[]).await;
    let kith = stack.client();
    assert!(kith.get("/openapi.json").await.json()["paths"].get("/im/group_create/").is_some());
    // Away, its last known document stays …
    stack.process_of("groups").kill();
    assert!(kith.get("/openapi.json").await.json()["paths"].get("/im/group_create/").is_some());
    // … but a gateway that has never seen it does not know it, and finds it when it is back.
    stack.process_of("gateway").kill();
    stack.restart("gateway").await;
    let document = kith.get("/openapi.json").await.json();
    assert_eq!(document["x-kith-missing"], json!(["groups"]));
    assert!(document["paths"].get("/im/group_create/").is_none());
    assert!(document["paths"].get("/auth/user_register").is_some());
    stack.restart("groups").await;
    for _ in 0..200 {
        if kith.get("/openapi.json").await.json().get("x-kith-missing").is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the document stays without groups");
}

#[tokio::test]
async fn each_service_serves_its_own_document() {
    if !has_processes() {
        return;
    }
    let stack = Stack::start(&[]).await;
    for (name, document) in parts() {
        let key = format!("KITH__{}__LISTEN", name.to_uppercase());
        let place = stack.processes[name].environment()[&key].clone();
        let answer = Client::new(&format!("http://{place}")).get("/openapi.json").await;
        assert_eq!((answer.status, answer.json()), (200, document.value()), "{name}");
    }
}
