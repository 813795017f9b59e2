//! Contract §4: who may ask, and how requests are read.

use crate::client::{Client, SECRET};
use crate::friends::{App, DOCUMENTS, KITH, authorization, full, local, now, row, sig, user};
use crate::stack::{Stack, shared};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::json;

async fn ask(kith: &Client, version: &str, app: &str, header: Option<&str>, query: &str, body: &str) -> String {
    let path = format!("/{version}/Application/{app}/IM/getUserVerify{query}");
    let mut request = kith.request(Method::POST, &path).body(body.to_owned());
    if let Some(header) = header {
        request = request.header("Authorization", header);
    }
    let answer = kith.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json().as_object().unwrap().len(), 2, "{}", answer.text);
    answer.json()["statusCode"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_unknown_call_is_404_before_anything() {
    let kith = shared().await;
    let answer = kith.post("/1999-01-01/Application/nobody/IM/getNothing", json!({})).await;
    assert_eq!((answer.status, answer.json()), (404, json!({"statusCode": "111100", "statusMsg": "no such call"})));
    let answer = kith.get("/2013-12-26/Application/kith/IM/getFriends").await;
    assert_eq!((answer.status, answer.json()["statusCode"].as_str()), (405, Some("111100")));
}

/// Each request has the fault of its row and all that come after it.
#[tokio::test]
async fn failures_come_in_the_contracts_order() {
    let kith = shared().await;
    let time = local(now());
    let old = local(now() - 25 * 3600);
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    let old_sig = format!("?sig={}", sig(KITH, &time));
    for (code, version, app, header, query, body) in [
        ("111110", "2013-12-25", "a%20b", None, "", ""),
        ("112180", "2013-12-26", "a%20b", None, "", ""),
        ("111181", "2013-12-26", "nobody", None, "", ""),
        ("111101", "2013-12-26", "kith", None, "", ""),
        ("111101", "2013-12-26", "kith", Some(String::new()), "", ""),
        ("111102", "2013-12-26", "kith", Some("***".to_owned()), "", ""),
        ("111103", "2013-12-26", "kith", Some(encoded("nobody")), "", ""),
        ("111104", "2013-12-26", "kith", Some(encoded(":")), "", ""),
        ("111105", "2013-12-26", "kith", Some(encoded("nobody:")), "", ""),
        ("111113", "2013-12-26", "kith", Some(encoded("nobody:20170230121212")), "", ""),
        ("111106", "2013-12-26", "kith", Some(encoded(&format!("nobody:{old}"))), "", ""),
        ("111107", "2013-12-26", "kith", Some(encoded(&format!("nobody:{time}"))), "", ""),
        ("111108", "2013-12-26", "kith", Some(authorization("kith", &time)), "", ""),
        ("111108", "2013-12-26", "kith", Some(authorization("kith", &time)), "?sig=", ""),
        ("111109", "2013-12-26", "kith", Some(authorization("kith", &time)), "?sig=C1F20E7A9733CABCDE", ""),
        ("160030", "2013-12-26", "kith", Some(authorization("kith", &time)), &old_sig, ""),
        ("160031", "2013-12-26", "kith", Some(authorization("kith", &time)), &old_sig, "{\"useracc\":"),
        ("160031", "2013-12-26", "kith", Some(authorization("kith", &time)), &old_sig, "[]"),
        ("112180", "2013-12-26", "kith", Some(authorization("kith", &time)), &old_sig, "{}"),
        ("112181", "2013-12-26", "kith", Some(authorization("kith", &time)), &old_sig, "{\"useracc\":\"other#a\"}"),
        ("000000", "2013-12-26", "kith", Some(authorization("kith", &time)), &old_sig, "{\"useracc\":\"a\"}"),
    ] {
        let got = if code == "000000" {
            let path = format!("/{version}/Application/{app}/IM/getUserVerify{query}");
            let request = kith.request(Method::POST, &path).header("Authorization", header.unwrap()).body(body);
            kith.send(request).await.ok_d()["statusCode"].as_str().unwrap().to_owned()
        } else {
            ask(&kith, version, app, header.as_deref(), query, body).await
        };
        assert_eq!(got, code, "{version} {app} {query} {body}");
    }
}

#[tokio::test]
async fn the_signature_is_of_the_timestamp_or_up_to_two_seconds_earlier_in_either_case() {
    let kith = shared().await;
    let at = now();
    let header = authorization("kith", &local(at));
    let other_app = App { id: "kith", token: DOCUMENTS.token };
    for (code, sig) in [
        ("000000", sig(KITH, &local(at))),
        ("000000", sig(KITH, &local(at)).to_uppercase()),
        ("000000", sig(KITH, &local(at - 1))),
        ("000000", sig(KITH, &local(at - 2))),
        ("111109", sig(KITH, &local(at - 3))),
        ("111109", sig(KITH, &local(at + 1))),
        ("111109", sig(other_app, &local(at))),
        ("111109", sig(KITH, &local(at))[1..].to_owned()),
        ("111109", format!("{}é", &sig(KITH, &local(at))[2..])),
    ] {
        let path = format!("/2013-12-26/Application/kith/IM/getUserVerify?sig={sig}");
        let request = kith.request(Method::POST, &path).header("Authorization", &header).body(r#"{"useracc":"a"}"#);
        let answer = kith.send(request).await;
        assert_eq!(answer.json()["statusCode"], json!(code), "{sig}");
    }
}

#[tokio::test]
async fn a_timestamp_counts_for_24_hours_either_way_and_a_signature_as_often_as_one_likes() {
    let kith = shared().await;
    for (code, off) in [("000000", -86_000), ("000000", 86_000), ("111106", -86_460), ("111106", 86_460)] {
        let time = local(now() + off);
        let path = format!("/2016-08-15/Application/kith/IM/getUserVerify/?sig={}", sig(KITH, &time));
        for _ in 0..2 {
            let request = kith.request(Method::POST, &path).header("Authorization", authorization("kith", &time));
            let answer = kith.send(request.body(r#"{"useracc":"a"}"#)).await;
            assert_eq!(answer.json()["statusCode"], json!(code), "{off}");
        }
    }
}

#[tokio::test]
async fn a_previous_auth_token_signs_too_and_the_offset_is_that_of_the_settings() {
    let apps = [
        ("KITH__APPS__KITH__ID", "kith"),
        ("KITH__APPS__KITH__SECRET", SECRET),
        ("KITH__APPS__KITH__AUTH_TOKEN", "new"),
        ("KITH__APPS__KITH__PREVIOUS_AUTH_TOKEN", "old"),
        ("KITH__UTC_OFFSET", "-03:30"),
    ];
    let stack = Stack::start(&apps).await;
    let kith = stack.client();
    // Local time as these settings have it.
    let time = local(now() - 8 * 3600 - 12_600);
    for token in ["new", "old", "none"] {
        let sig = sig(App { id: "kith", token }, &time);
        let path = format!("/2013-12-26/Application/kith/IM/getFriends?sig={sig}");
        let request = kith.request(Method::POST, &path).header("Authorization", authorization("kith", &time));
        let answer = kith.send(request.body(r#"{"useracc":"a"}"#)).await;
        match token {
            "none" => answer.fails_d("111109", "sig is wrong"),
            _ => assert_eq!(answer.timestamp(), "1969-12-31 20:30:00.000"),
        }
    }
}

#[tokio::test]
async fn useraccs_are_full_or_bare_and_split_at_the_first_hash() {
    let (kith, a) = (shared().await, user());
    kith.open_door(&a).await;
    let verify = async |useracc: &str| kith.im("getUserVerify", json!({"useracc": useracc})).await;
    for same in [a.clone(), full(&a)] {
        assert_eq!(verify(&same).await.ok_d()["addVerify"], json!("0"));
    }
    assert_eq!(verify("kith#a#b").await.ok_d()["addVerify"], json!("1"));
    for (bad, text) in [
        ("", "useracc: must not be empty"),
        ("kith#", "useracc: the account: must not be empty"),
        ("#a", "useracc: the app id must be 1 to 64 characters of A-Z a-z 0-9 _ -"),
        ("kith", "useracc: is the id of an app; # must be written %23 in a URL"),
        (DOCUMENTS.id, "useracc: is the id of an app; # must be written %23 in a URL"),
        (&"x".repeat(65), "useracc: the account: longer than 64 characters"),
        (&"x".repeat(200), "useracc: longer than 129 characters"),
    ] {
        verify(bad).await.fails_d("112180", text);
    }
    kith.im("getUserVerify", json!({})).await.fails_d("112180", "useracc: missing");
    kith.im("getUserVerify", json!({"useracc": null})).await.fails_d("112180", "useracc: missing");
    kith.im("getUserVerify", json!({"useracc": {}})).await.fails_d("112180", "useracc: must be a string");
    verify("other#a").await.fails_d("112181", "useracc: not of this app");
    verify(&format!("{}#a", DOCUMENTS.id)).await.fails_d("112181", "useracc: not of this app");
}

#[tokio::test]
async fn requests_are_read_as_the_shipped_clients_write_them() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.befriend(&a, &b).await;
    // A demo's stray space in a key; numbers for strings; no Content-Type at all, and a malformed one.
    let body = format!(r#" {{"isSimpUseracc ":1,"useracc":"{a}","size":100,"isUpdate":0,"timestamp":"","more":[]}} "#);
    for kind in [None, Some("application/octet-stream;; charset=utf-8"), Some("text/plain")] {
        let mut request = kith.signed(KITH, "getFriends", "").body(body.clone());
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        assert_eq!(kith.send(request).await.friends(), std::slice::from_ref(&b));
    }
}

#[tokio::test]
async fn flags_are_zero_or_one_and_absent_is_zero() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.befriend(&a, &b).await;
    kith.del(&a, &b, "1").await.done();
    for (flag, shown) in
        [(json!(""), 0), (json!("0"), 0), (json!(0), 0), (json!(null), 0), (json!("1"), 1), (json!(1), 1)]
    {
        let answer = kith.im("getFriends", json!({"useracc": a, "isUpdate": flag})).await;
        assert_eq!(answer.friends().len(), shown, "{flag}");
    }
    for (call, field) in [
        ("getFriends", "isUpdate"),
        ("getFriends", "isAllPage"),
        ("getFriends", "isSimpUseracc"),
        ("delFriend", "allDel"),
    ] {
        let answer = kith.im(call, json!({"useracc": a, "friendUseracc": b, field: "2"})).await;
        answer.fails_d("112180", &format!("{field}: must be 0 or 1"));
    }
    assert_eq!(kith.whole_list(&a).await, [row([&b, "0"])]);
}

/// Each field of each call, given what it cannot be: told by name and rule, in words of ours.
#[tokio::test]
async fn a_field_of_the_wrong_type_is_named_with_its_rule() {
    let (kith, a, b) = (shared().await, user(), user());
    let pair = json!({"useracc": a, "friendUseracc": b});
    let text = |call: &str, fields: &[&str]| {
        let with = |field: &&str| (call.to_owned(), (*field).to_owned(), "must be a string");
        fields.iter().map(with).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    all.extend(text("getFriends", &["useracc", "timestamp", "isUpdate", "isAllPage", "isSimpUseracc"]));
    all.extend(text("friendMessage", &["useracc", "timestamp", "isSimpUseracc"]));
    all.extend(text("getPersonInfo", &["useracc", "searchContent", "isSimpUseracc"]));
    all.extend(text("addFriend", &["useracc", "friendUseracc", "message", "source"]));
    all.extend(text("setFriendRemark", &["useracc", "friendUseracc", "remarkName"]));
    all.extend(text("setUserVerify", &["useracc", "addVerify"]));
    all.extend(text("getUserVerify", &["useracc"]));
    all.extend(text("friendAgree", &["useracc", "friendUseracc"]));
    all.extend(text("friendRefuse", &["useracc", "friendUseracc", "message"]));
    all.extend(text("delFriend", &["useracc", "friendUseracc", "allDel"]));
    all.extend(text("getFriendInfo", &["useracc", "friendUseracc", "isSimpUseracc"]));
    all.extend(text("getUserAvatar", &["useracc", "updateTime"]));
    all.extend(text("batchGetUserAvatar", &["isSimpUseracc"]));
    for (call, field) in [("importFriends", "friendsList"), ("batchGetUserAvatar", "useraccList")] {
        all.push((call.to_owned(), field.to_owned(), "must be a list"));
    }
    for (call, field, rule) in all {
        for wrong in [json!({}), json!({"useracc": a}), json!([]), json!([a]), json!(true), json!(1.5)] {
            if rule == "must be a list" && wrong.is_array() {
                continue;
            }
            let mut body = json!({
                "useracc": a, "friendUseracc": b, "searchContent": b, "remarkName": "x", "addVerify": "1",
                "useraccList": [a]
            });
            body[&field] = wrong;
            kith.im(&call, body).await.fails_d("112180", &format!("{field}: {rule}"));
        }
    }
    // What is in a list is named by its place.
    for wrong in [json!({}), json!([a]), json!(true), json!(null)] {
        let answer = kith.im("batchGetUserAvatar", json!({"useraccList": [a, wrong]})).await;
        answer.fails_d("112180", "useraccList[1]: must be a string");
        let mut entry = pair.clone();
        entry["useracc"] = wrong.clone();
        let text = if wrong.is_null() { "missing" } else { "must be a string" };
        let answer = kith.im("importFriends", json!({"friendsList": [pair, entry]})).await;
        answer.fails_d("112180", &format!("friendsList[1].useracc: {text}"));
    }
    assert!(kith.whole_list(&a).await.is_empty());
}

#[tokio::test]
async fn bodies_have_a_limit_and_must_be_utf8_without_nul() {
    let (kith, a) = (shared().await, user());
    let answer = kith.im("getUserVerify", json!({"useracc": a, "more": "x".repeat(3 << 20)})).await;
    answer.fails_d("160031", "the request's body is too large");
    assert_eq!(answer.header("x-kith-failure"), Some("413"));
    let raw = async |body: Vec<u8>| kith.send(kith.signed(KITH, "setUserVerify", "").body(body)).await;
    let answer = raw(b"{\"useracc\":\"\xff\",\"addVerify\":\"0\"}".to_vec()).await;
    assert_eq!(answer.json()["statusCode"], json!("160031"));
    raw(br#"{"useracc":"a\u0000b","addVerify":"0"}"#.to_vec())
        .await
        .fails_d("112180", "useracc: contains a NUL character");
}

#[tokio::test]
async fn answers_have_their_envelope_first_and_only_strings() {
    let (kith, a, b) = (shared().await, user(), user());
    kith.befriend(&a, &b).await;
    let answer = kith.friends_of(&a).await;
    assert!(
        answer.text.starts_with(r#"{"statusCode":"000000","statusMsg":"success","timestamp":""#),
        "{}",
        answer.text
    );
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    let entry = &answer.json()["friendsList"][0];
    assert!(entry.as_object().unwrap().values().all(serde_json::Value::is_string), "{entry}");
}
