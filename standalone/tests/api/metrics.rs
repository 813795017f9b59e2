//! What operators see: numbers of every process, and log lines that one request can be followed by.

use crate::client::Client;
use crate::socket::Socket;
use crate::stack::{Kind, SERVICES, Stack};
use serde_json::{Value, json};
use std::time::Duration;

/// `/metrics` of the process that serves `service`.
async fn metrics(stack: &Stack, service: &str) -> String {
    let place = match stack.kind {
        // kith shows those of all its servers.
        Kind::Sqlite => "gateway",
        Kind::Postgres => service,
    };
    let answer = Client::new(&stack.internal[place]).get("/metrics").await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
    answer.text
}

/// The value of a sample, by how its line begins.
#[track_caller]
fn value(metrics: &str, sample: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(sample));
    let line = line.unwrap_or_else(|| panic!("no {sample} in\n{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_process_tells_what_it_is_and_what_it_does() {
    let stack = Stack::start(&[]).await;
    let kith = stack.client();
    kith.register("alice").await.ok_b();
    kith.register("alice").await.fails_b(601, "already registered");
    kith.register("alice").await.fails_b(601, "already registered");
    kith.sign_in("alice", "wrong").await;
    kith.get("/nowhere").await;
    kith.post("/2013-12-26/Application/kith/IM/getFriends", json!({"useracc": "alice"})).await;
    kith.get("/tu_ua_get_status_from_tn.action").await;
    kith.get("/im/user_get_group_list").await;
    let _socket = Socket::open(&stack.url, &kith.token("alice", 2).await).await;

    for service in SERVICES {
        let (text, name) = (metrics(&stack, service).await, format!("svc-{}", service.replace('_', "-")));
        for sample in [
            "kith_build_info",
            "kith_requests_total",
            "kith_requests_running",
            "kith_request_duration_seconds_bucket",
            "kith_db_threads",
            "kith_db_queued",
            "kith_db_running",
            "kith_db_busy_milliseconds_total",
            "kith_db_wait_duration_seconds_bucket",
            "kith_state_up",
            "kith_state_operation_duration_seconds_bucket",
        ] {
            value(&text, &format!("{sample}{{service=\"{name}\""));
        }
        assert!(value(&text, &format!("kith_db_wait_duration_seconds_count{{service=\"{name}\"")) > 0.0);
        if service != "friends" {
            for sample in ["kith_outbox_length", "kith_outbox_age_seconds", "kith_outbox_dead"] {
                assert_eq!(value(&text, &format!("{sample}{{service=\"{name}\"")), 0.0);
            }
        }
    }
    let text = metrics(&stack, "im_auth").await;
    let failed = |family: &str, code: &str, reason: &str| {
        format!(
            "kith_failures_total{{service=\"svc-im-auth\",family=\"{family}\",code=\"{code}\",reason=\"{reason}\"}}"
        )
    };
    assert_eq!(value(&text, &failed("B", "601", "AlreadyRegistered")), 2.0);
    assert_eq!(value(&text, &failed("C", "failed", "WrongCredentials")), 1.0);
    let sockets = "kith_sockets_open{service=\"svc-im-auth\",platform=";
    assert_eq!(
        (value(&text, &format!("{sockets}\"Android\"")), value(&text, &format!("{sockets}\"Web\""))),
        (1.0, 0.0)
    );
    value(&text, "kith_presence_lease_age_milliseconds{service=\"svc-im-auth\"");

    let text = metrics(&stack, "friends").await;
    let failed = "kith_failures_total{service=\"svc-friends\",family=\"D\",code=\"111101\",reason=\"NoAuthorization\"}";
    assert_eq!(value(&text, failed), 1.0);
    let text = metrics(&stack, "terminal_user").await;
    let failed = "kith_failures_total{service=\"svc-terminal-user\",family=\"A\",code=\"0\",reason=\"BadParameter\"}";
    assert_eq!(value(&text, failed), 1.0);

    let text = metrics(&stack, "gateway").await;
    let failed = "kith_failures_total{service=\"gateway\",family=\"B\",code=\"404\",reason=\"UnknownPath\"}";
    assert_eq!(value(&text, failed), 1.0);
    for sample in ["kith_build_info", "kith_request_duration_seconds_bucket", "kith_upstream_connections_opened_total"]
    {
        value(&text, &format!("{sample}{{service=\"gateway\""));
    }
    assert_eq!(value(&text, "kith_sockets{service=\"gateway\"}"), 1.0);
}

#[tokio::test]
async fn a_clients_request_id_is_in_the_json_lines_of_gateway_and_service() {
    let stack = Stack::start(&[("KITH__LOG__FORMAT", "json")]).await;
    let kith = stack.client();
    let request = kith.request(reqwest::Method::GET, "/cmd/?cmd=get_userinfo&username=nobody-at-all");
    let answer = kith.send(request.header("x-request-id", "from-my-phone.7")).await;
    assert_eq!(answer.header("x-request-id"), Some("from-my-phone.7"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let lines: Vec<Value> = stack.logs().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for service in ["gateway", "svc-im-auth"] {
        let line = lines.iter().find(|l| l["request_id"] == "from-my-phone.7" && l["service"] == service).unwrap();
        let told = (&line["target"], &line["message"], &line["method"], &line["path"], &line["status"]);
        assert_eq!(told, (&json!("access"), &json!("request"), &json!("GET"), &json!("/cmd/"), &json!(200)));
        for field in ["time", "level", "outcome", "client", "took_us"] {
            assert!(line.get(field).is_some(), "{field}: {line}");
        }
    }
}
