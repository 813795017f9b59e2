//! Contract §4: importFriends, users of other apps, limits.

use crate::client::SECRET;
use crate::friends::{DOCUMENTS, KITH, full, row, user};
use crate::stack::{Stack, shared};
use serde_json::{Value, json};
use std::time::Duration;

fn pairs(list: &[(&str, &str)]) -> Value {
    let pairs: Vec<_> = list.iter().map(|(a, b)| json!({"useracc": a, "friendUseracc": full(b)})).collect();
    json!({ "friendsList": pairs })
}

#[tokio::test]
async fn an_import_makes_friends_both_ways_without_asking_and_again_changes_nothing() {
    let (kith, a, b, c) = (shared().await, user(), user(), user());
    kith.add(&a, &b).await.done();
    // The same pair twice, and the other way round.
    let list = pairs(&[(&a, &b), (&a, &c), (&b, &a), (&a, &b)]);
    kith.im("importFriends", list.clone()).await.done();
    let mut friends = kith.friends_of(&a).await.friends();
    friends.sort();
    let mut expected = [full(&b), full(&c)];
    expected.sort();
    assert_eq!(friends, expected);
    assert_eq!(kith.friends_of(&c).await.friends(), [full(&a)]);
    assert_eq!(kith.requests_of(&b).await, [row([&a, "1", "1", "hello"])]);
    assert!(kith.requests_of(&c).await.is_empty());
    let before = (kith.friends_of(&a).await.text, kith.friends_of(&b).await.text);
    tokio::time::sleep(Duration::from_millis(5)).await;
    kith.im("importFriends", list).await.done();
    assert_eq!((kith.friends_of(&a).await.text, kith.friends_of(&b).await.text), before);
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_takes_1_to_1000_pairs_of_its_own_app() {
    let (kith, a, b) = (shared().await, user(), user());
    let foreign = json!({"useracc": a, "friendUseracc": format!("{}#x", DOCUMENTS.id)});
    let good = json!({"useracc": a, "friendUseracc": b});
    let import = async |list: Value| kith.im("importFriends", json!({ "friendsList": list })).await;
    import(json!([good, foreign]))
        .await
        .fails_d("112182", "friendsList[1].friendUseracc: users of that app are not allowed here");
    let foreign = json!({"useracc": format!("{}#x", DOCUMENTS.id), "friendUseracc": a});
    import(json!([good, good, foreign]))
        .await
        .fails_d("112182", "friendsList[2].useracc: users of that app are not allowed here");
    import(json!([good, {"useracc": a}])).await.fails_d("112180", "friendsList[1].friendUseracc: missing");
    import(json!([good, {"useracc": a, "friendUseracc": a}])).await.fails_d("112183", "the other user is oneself");
    import(json!([])).await.fails_d("112180", "friendsList: must not be empty");
    import(json!("x")).await.fails_d("112180", "friendsList: must be a list");
    kith.im("importFriends", json!({})).await.fails_d("112180", "friendsList: missing");
    import(json!(vec![good.clone(); 1001])).await.fails_d("112188", "friendsList: more than 1000 entries");
    assert!(kith.whole_list(&a).await.is_empty());
    import(json!(vec![good; 1000])).await.done();
    assert_eq!(kith.whole_list(&a).await, [row([&b, "1"])]);
}

#[tokio::test]
async fn an_entry_of_an_import_is_an_object_with_names_and_not_an_array_of_values() {
    let (kith, a, b) = (shared().await, user(), user());
    let good = json!({"useracc": a, "friendUseracc": b});
    let import = async |list: Value| kith.im("importFriends", json!({ "friendsList": list })).await;
    for entry in [json!([a, b]), json!([]), json!("x"), json!(1), json!(true), json!(null), json!([[a, b]])] {
        import(json!([good, entry])).await.fails_d("112180", "friendsList[1]: must be an object");
    }
    import(good).await.fails_d("112180", "friendsList: must be a list");
    assert!(kith.whole_list(&a).await.is_empty());
}

/// Each call that names another user, with one of an app that the path's does not list; and its operator of another.
#[tokio::test]
async fn no_call_reaches_users_of_an_app_that_is_not_listed() {
    let (kith, a) = (shared().await, user());
    for (call, field) in [
        ("addFriend", "friendUseracc"),
        ("friendAgree", "friendUseracc"),
        ("friendRefuse", "friendUseracc"),
        ("delFriend", "friendUseracc"),
        ("setFriendRemark", "friendUseracc"),
        ("getFriendInfo", "friendUseracc"),
        ("getPersonInfo", "searchContent"),
    ] {
        let mut body = json!({"useracc": a, "remarkName": "x", "friendUseracc": "nobody#x"});
        body[field] = json!("nobody#x");
        let answer = kith.im(call, body.clone()).await;
        answer.fails_d("112182", &format!("{field}: users of that app are not allowed here"));
        // The operator comes first, and may not even be of a listed app.
        body["useracc"] = json!(format!("{}#a", DOCUMENTS.id));
        kith.im(call, body).await.fails_d("112181", "useracc: not of this app");
    }
    for call in ["getFriends", "friendMessage", "setUserVerify", "getUserVerify", "getUserAvatar"] {
        let body = json!({"useracc": format!("{}#a", DOCUMENTS.id), "addVerify": "0"});
        kith.im(call, body).await.fails_d("112181", "useracc: not of this app");
    }
}

#[tokio::test]
async fn across_apps_only_those_that_the_paths_app_lists_are_reached() {
    // `shop` lists `kith`, which lists nobody.
    let stack = Stack::start(&[
        ("KITH__APPS__KITH__ID", "kith"),
        ("KITH__APPS__KITH__SECRET", SECRET),
        ("KITH__APPS__KITH__AUTH_TOKEN", KITH.token),
        ("KITH__APPS__SHOP__ID", DOCUMENTS.id),
        ("KITH__APPS__SHOP__SECRET", "b"),
        ("KITH__APPS__SHOP__AUTH_TOKEN", DOCUMENTS.token),
        ("KITH__APPS__SHOP__CROSS_APP", "kith"),
    ])
    .await;
    let kith = stack.client();
    let shopper = format!("{}#s", DOCUMENTS.id);
    kith.add("a", "b").await.done();
    let answer = kith.im("addFriend", json!({"useracc": "a", "friendUseracc": shopper})).await;
    answer.fails_d("112182", "friendUseracc: users of that app are not allowed here");
    let answer = kith.im("addFriend", json!({"useracc": "a", "friendUseracc": "nobody#s"})).await;
    answer.fails_d("112182", "friendUseracc: users of that app are not allowed here");
    kith.im_of(DOCUMENTS, "addFriend", json!({"useracc": shopper, "friendUseracc": "kith#a"})).await.done();
    kith.open_door("a").await;
    kith.im_of(DOCUMENTS, "addFriend", json!({"useracc": "s", "friendUseracc": "kith#a"})).await.done();
    // A full useracc across apps, the account alone within: whoever asks, and whatever `cross_app` says of him.
    let simple = json!({"useracc": "a", "isUpdate": "0", "isSimpUseracc": "1"});
    assert_eq!(kith.im("getFriends", simple).await.friends(), [shopper]);
    let simple = json!({"useracc": "s", "isUpdate": "0", "isSimpUseracc": "1"});
    assert_eq!(kith.im_of(DOCUMENTS, "getFriends", simple).await.friends(), ["kith#a"]);
}

#[tokio::test]
async fn both_sides_limits_hold_and_a_full_side_changes_nothing() {
    let stack = Stack::start(&[("KITH__FRIENDS__MAX_FRIENDS", "2"), ("KITH__FRIENDS__MAX_PENDING", "2")]).await;
    let kith = stack.client();
    // Requests: the asked one is full, then the asker.
    for asker in ["a1", "a2"] {
        kith.add(asker, "full").await.done();
    }
    kith.add("a3", "full").await.fails_d("112188", "too many pending requests");
    assert!(kith.requests_of("a3").await.is_empty());
    assert_eq!(kith.requests_of("full").await.len(), 2);
    kith.add("full", "a4").await.fails_d("112188", "too many pending requests");
    // The same invitation again is no further one.
    kith.add("a1", "full").await.done();
    // A refusal makes room; the asker's own row still counts for him.
    kith.im("friendRefuse", json!({"useracc": "full", "friendUseracc": "a1"})).await.done();
    kith.add("a3", "full").await.done();
    kith.add("a1", "x1").await.done();
    kith.add("a1", "x2").await.fails_d("112188", "too many pending requests");
    // Friends: by agreement, open door, import.
    kith.im("importFriends", pairs(&[("p", "q1"), ("p", "q2")])).await.done();
    kith.add("p", "r").await.done();
    kith.agree("r", "p").await.fails_d("112188", "too many friends");
    assert_eq!(kith.requests_of("r").await, [row(["p", "1", "0", "hello"])]);
    kith.open_door("p").await;
    kith.add("s", "p").await.fails_d("112188", "too many friends");
    kith.im("importFriends", pairs(&[("t", "u"), ("t", "p")])).await.fails_d("112188", "too many friends");
    assert!(kith.whole_list("t").await.is_empty() && kith.whole_list("s").await.is_empty());
    // A former friend's row does not count.
    kith.del("p", "q1", "1").await.done();
    kith.agree("r", "p").await.done();
}
