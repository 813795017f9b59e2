//! Contract §4: uploadAvatar, getUserAvatar, batchGetUserAvatar; contract §0: links to our media.

use crate::client::{Answer, Client, escape};
use crate::friends::{DOCUMENTS, KITH, full, user};
use crate::s3::{self, S3};
use crate::stack::{Stack, shared};
use reqwest::Method;
use serde_json::json;

/// What holds of avatars wherever they are stored.
macro_rules! wherever_they_are_stored {
    ($($test:ident),* $(,)?) => {
        mod in_a_folder {
            $(#[tokio::test] async fn $test() { super::$test(&super::shared().await).await; })*
        }
        mod in_s3 {
            $(#[tokio::test] async fn $test() { super::$test(&super::s3::shared().await).await; })*
        }
    };
}

wherever_they_are_stored! {
    an_avatar_is_served_and_shown_everywhere,
    the_content_decides_the_type,
    what_is_no_image_is_refused,
    five_mebibytes_are_the_limit_while_streaming,
    the_operator_of_an_upload_is_in_the_query,
    what_is_not_there_is_404_in_family_bs_envelope,
}

/// The header of a PNG; nobody decodes more. `seed` makes it another image.
pub fn png(width: u32, height: u32, seed: &str) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    png.extend(seed.as_bytes());
    png
}

/// As both demos upload: raw bytes, a type that no parser takes, `#` escaped.
pub async fn upload(kith: &Client, who: &str, image: Vec<u8>) -> Answer {
    let query = format!("&useracc={}&fileName=1.jpg", escape(&full(who)));
    let request =
        kith.signed(KITH, "uploadAvatar", &query).header("Content-Type", "application/octet-stream;; charset=utf-8");
    kith.send(request.body(image)).await
}

#[track_caller]
fn uploaded(answer: &Answer) -> (String, String) {
    let body = answer.ok_d();
    assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    (body["avatar"].as_str().unwrap().to_owned(), body["updateTime"].as_str().unwrap().to_owned())
}

/// The bytes at `url`, as a client loads them.
async fn fetched(kith: &Client, url: &str) -> Vec<u8> {
    let answer = kith.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.bytes().await.unwrap().to_vec()
}

async fn an_avatar_is_served_and_shown_everywhere(kith: &Client) {
    let (a, b) = (user(), user());
    let image = png(3, 2, &a);
    let (url, time) = uploaded(&upload(kith, &a, image.clone()).await);
    assert!(url.starts_with(&format!("{}/media/", kith.url)) && url.ends_with(".png"), "{url}");

    // The URL serves the same bytes with the right headers; HEAD the same without a body.
    let path = url.strip_prefix(&kith.url).unwrap();
    for method in [Method::GET, Method::HEAD] {
        let answer = kith.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        for (name, value) in [
            ("content-type", "image/png"),
            ("content-length", &image.len().to_string()),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.headers()[name], value, "{method} {name}");
        }
        let body = answer.bytes().await.unwrap();
        assert_eq!(body, if method == Method::GET { image.clone() } else { Vec::new() });
    }

    // The icon of the account, in every dialect.
    assert_eq!(kith.users_info(json!([a])).await.ok_b()["data"][0]["icon"], json!(url));
    assert_eq!(kith.userinfo(&a).await.ok_c()["thumb"], json!(url));
    kith.befriend(&b, &a).await;
    assert_eq!(kith.friends_of(&b).await.ok_d()["friendsList"][0]["avatar"], json!(url));
    let avatar = async |time: &str| kith.im("getUserAvatar", json!({"useracc": full(&a), "updateTime": time})).await;
    avatar("").await.is(json!({"statusCode": "000000", "statusMsg": "success", "avatar": url}));

    // The same image twice is stored once and changes nothing.
    assert_eq!(uploaded(&upload(kith, &a, image.clone()).await), (url.clone(), time.clone()));
    assert_eq!(uploaded(&upload(kith, &b, image).await).0, url);
    // Another image is another file and a later time.
    let (other, later) = uploaded(&upload(kith, &a, png(3, 3, &a)).await);
    assert!(other != url && later > time, "{other} {later}");
    avatar(&time).await.is(json!({"statusCode": "000000", "statusMsg": "success", "avatar": other}));
    avatar(&later).await.done();
}

/// Two images are uploaded, each by several and again.
async fn the_same_image_is_stored_once(kith: &Client, stored: impl AsyncFn() -> usize) {
    let images = [png(3, 2, ""), png(3, 3, "")];
    let mut urls = Vec::new();
    for image in [&images[0], &images[1], &images[0], &images[0], &images[1]] {
        for who in ["a", "b"] {
            urls.push(uploaded(&upload(kith, who, image.clone()).await).0);
        }
    }
    assert_eq!(urls[..4], [urls[0].clone(), urls[0].clone(), urls[2].clone(), urls[2].clone()]);
    assert_eq!(urls.iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert_eq!(stored().await, 2);
    // What is refused is not stored.
    what_is_no_image_is_refused(kith).await;
    assert_eq!(stored().await, 2);
    assert!(fetched(kith, &urls[0]).await == images[0] && fetched(kith, &urls[2]).await == images[1]);
}

#[tokio::test]
async fn the_same_image_is_one_file() {
    let stack = Stack::start(&[]).await;
    let folder = stack.folder.path().join("data/media");
    the_same_image_is_stored_once(&stack.client(), async || std::fs::read_dir(&folder).unwrap().count()).await;
}

#[tokio::test]
async fn the_same_image_is_one_object_below_the_prefix_and_no_file() {
    let s3 = S3::bucket().await;
    let stack = Stack::start(&s3.settings("avatars")).await;
    the_same_image_is_stored_once(&stack.client(), async || s3.objects("avatars/").await).await;
    assert_eq!(s3.objects("").await, 2);
    assert!(!stack.folder.path().join("data/media").exists());
}

#[tokio::test]
async fn s3_away_is_said_plainly_and_changes_nothing() {
    let gone = [
        ("KITH__MEDIA__URL", "s3://bucket"),
        ("KITH__MEDIA__ENDPOINT", "http://127.0.0.1:9"),
        ("KITH__MEDIA__REGION", "us-east-1"),
        ("KITH__MEDIA__ACCESS_KEY_ID", "key"),
        ("KITH__MEDIA__SECRET_ACCESS_KEY", "secret"),
    ];
    let stack = Stack::start(&gone).await;
    let kith = stack.client();
    let answer = upload(&kith, "a", png(1, 1, "")).await;
    answer.fails_d("160000", "a part of the service is not reachable: try again");
    assert_eq!(answer.header("x-kith-failure"), Some("503"));
    assert_eq!(kith.im("getUserAvatar", json!({"useracc": "a"})).await.ok_d()["avatar"], json!(""));
    let answer = kith.get(&format!("/media/{}.png", "0".repeat(64))).await;
    assert_eq!(answer.json()["errCode"], json!(503));
}

async fn the_content_decides_the_type(kith: &Client) {
    let a = user();
    let gif = b"GIF89a\x02\0\x03\0\x80\0\0\0\0\0\xff\xff\xff;".to_vec();
    let jpeg =
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x0b\x08\0\x02\0\x03\x01\x01\x11\0\xff\xd9";
    let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x03\0\0\0\x02\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(58, 0);
    for (image, extension, kind) in [
        (gif, "gif", "image/gif"),
        (jpeg.to_vec(), "jpg", "image/jpeg"),
        (bmp, "bmp", "image/bmp"),
        (png(1, 1, ""), "png", "image/png"),
    ] {
        let (url, _) = uploaded(&upload(kith, &a, image.clone()).await);
        assert!(url.ends_with(&format!(".{extension}")), "{url}");
        let answer = kith.http.get(&url).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], kind);
        assert_eq!(answer.bytes().await.unwrap(), image);
    }
}

async fn what_is_no_image_is_refused(kith: &Client) {
    let a = user();
    let refused = "not an image of type jpg, png, gif or bmp of at most 5 MiB";
    for no_image in [
        &b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"[..],
        b"<!DOCTYPE html><html><script>alert(1)</script></html>",
        b"BM<html><script>alert(1)</script></html>                                ",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0",
    ] {
        upload(kith, &a, no_image.to_vec()).await.fails_d("112189", refused);
    }
    // What only a decompression bomb claims.
    upload(kith, &a, png(60_000, 60_000, "")).await.fails_d("112189", "the image's width or height is not allowed");
    upload(kith, &a, Vec::new()).await.fails_d("160030", "the request has no body");
    kith.im("getPersonInfo", json!({"useracc": a, "searchContent": a})).await.fails_d("112187", "no such user");
}

async fn five_mebibytes_are_the_limit_while_streaming(kith: &Client) {
    let a = user();
    // No two parts of it are alike.
    let sized = |size: usize| {
        let mut image = png(1, 1, &a);
        image.extend((0_u32..).flat_map(u32::to_be_bytes).take(size - image.len()));
        image
    };
    let largest = sized(5 << 20);
    let (url, _) = uploaded(&upload(kith, &a, largest.clone()).await);
    assert!(fetched(kith, &url).await == largest, "not the same bytes");
    let too_large = "the image is larger than 5 MiB";
    upload(kith, &a, sized((5 << 20) + 1)).await.fails_d("112189", too_large);
    // Without a length that would tell beforehand.
    let chunks: Vec<std::io::Result<Vec<u8>>> = sized(7 << 20).chunks(100_000).map(|c| Ok(c.to_vec())).collect();
    let query = format!("&useracc={a}");
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    kith.send(kith.signed(KITH, "uploadAvatar", &query).body(body)).await.fails_d("112189", too_large);
    // The one before it stays.
    assert_eq!(kith.im("getUserAvatar", json!({"useracc": a})).await.ok_d()["avatar"], json!(url));
}

async fn the_operator_of_an_upload_is_in_the_query(kith: &Client) {
    let send = async |query: &str| kith.send(kith.signed(KITH, "uploadAvatar", query).body(png(1, 1, "x"))).await;
    send("").await.fails_d("112180", "useracc: missing");
    // An unescaped # ends the query.
    send("&useracc=kith#a&fileName=1.jpg")
        .await
        .fails_d("112180", "useracc: is the id of an app; # must be written %23 in a URL");
    send("&useracc=other%23a").await.fails_d("112181", "useracc: not of this app");
    uploaded(&send(&format!("&fileName=%FF.jpg&useracc={}", user())).await);
}

#[tokio::test]
async fn an_avatar_is_omitted_only_if_its_update_time_is_the_stored_one() {
    let (kith, a) = (shared().await, user());
    kith.register_with(&a, json!({"icon": "http://url"})).await.ok_b();
    let ask = async |time: &str| kith.im("getUserAvatar", json!({"useracc": a, "updateTime": time})).await;
    let shown = json!({"statusCode": "000000", "statusMsg": "success", "avatar": "http://url"});
    // The Android demo always sends the present time.
    for time in ["", "2999-01-01 00:00:00.000", "2017-07-21 12:00:00.123"] {
        ask(time).await.is(shown.clone());
    }
    let list = kith.im("batchGetUserAvatar", json!({"useraccList": [a]})).await.ok_d();
    ask(list["avatarList"][0]["updateTime"].as_str().unwrap()).await.done();
    // An icon that was taken away has a time as well, but is none that a client could have.
    kith.update(&a, json!({"icon": ""})).await.ok_b();
    let list = kith.im("batchGetUserAvatar", json!({"useraccList": [a]})).await.ok_d();
    let none = json!({"statusCode": "000000", "statusMsg": "success", "avatar": ""});
    ask(list["avatarList"][0]["updateTime"].as_str().unwrap()).await.is(none);
    ask("yesterday").await.fails_d("112180", "updateTime: must be yyyy-MM-dd HH:mm:ss[.SSS]");
    let nobody = kith.im("getUserAvatar", json!({"useracc": user()})).await;
    nobody.is(json!({"statusCode": "000000", "statusMsg": "success", "avatar": ""}));
}

#[tokio::test]
async fn avatars_come_in_batches_each_once_in_order() {
    let (kith, a, b, c) = (shared().await, user(), user(), user());
    kith.register_with(&a, json!({"icon": "http://a"})).await.ok_b();
    kith.register_with(&c, json!({"secret": "tuoyun-2", "icon": "http://c"})).await.ok_b();
    let other = format!("{}#{c}", DOCUMENTS.id);
    let list = json!([b, full(&a), a, other, b]);
    let body = kith.im("batchGetUserAvatar", json!({"useraccList": list, "isSimpUseracc": "1"})).await.ok_d();
    let entries = body["avatarList"].as_array().unwrap();
    let shown: Vec<_> = entries.iter().map(|e| (e["useracc"].clone(), e["avatar"].clone())).collect();
    assert_eq!(shown, [(json!(b), json!("")), (json!(a), json!("http://a")), (json!(other), json!("http://c"))]);
    assert_eq!(entries[0]["updateTime"], json!(""));
    assert_eq!(entries[1]["updateTime"].as_str().unwrap().len(), 23);
    // The document's table and example disagree: both.
    assert_eq!(body["friendsList"], body["avatarList"]);
    assert_eq!(body.as_object().unwrap().len(), 4);
    let ask = async |list| kith.im("batchGetUserAvatar", json!({ "useraccList": list })).await;
    ask(json!([])).await.fails_d("112180", "useraccList: must not be empty");
    ask(json!(vec![a.clone(); 201])).await.fails_d("112188", "useraccList: more than 200 entries");
    assert_eq!(ask(json!(vec![a.clone(); 200])).await.ok_d()["avatarList"].as_array().unwrap().len(), 1);
    ask(json!([a, "nobody#x"])).await.fails_d("112182", "useraccList: users of that app are not allowed here");
}

#[tokio::test]
async fn any_change_of_the_icon_in_any_dialect_moves_the_update_time() {
    let (kith, a) = (shared().await, user());
    kith.register_with(&a, json!({"icon": "http://1"})).await.ok_b();
    let time = async || {
        let body = kith.im("batchGetUserAvatar", json!({"useraccList": [a]})).await.ok_d();
        body["avatarList"][0]["updateTime"].as_str().unwrap().to_owned()
    };
    let first = time().await;
    kith.update(&a, json!({"icon": "http://2"})).await.ok_b();
    let second = time().await;
    kith.update(&a, json!({"icon": "http://2", "name": "x"})).await.ok_b();
    assert_eq!(time().await, second);
    kith.update(&a, json!({"icon": ""})).await.ok_b();
    assert!(first < second && second < time().await);
}

#[tokio::test]
async fn a_link_of_ours_is_recognised_and_built_anew_under_another_base() {
    let stack = Stack::start(&[("KITH__PUBLIC_BASE_URL", "https://im.localhost/kith")]).await;
    let kith = stack.client();
    let (url, _) = uploaded(&upload(&kith, "a", png(1, 1, "")).await);
    let name = url.strip_prefix("https://im.localhost/kith/media/").expect("the public base").to_owned();
    // A client sends it back; the account keeps the file's name.
    kith.register_with("b", json!({ "icon": url })).await.ok_b();
    kith.register_with("c", json!({ "icon": format!("https://other.example/media/{name}") })).await.ok_b();
    // By its path: what clients hang on against caches is not kept.
    kith.register_with("d", json!({ "icon": format!("{url}?v=2#top") })).await.ok_b();
    kith.register_with("e", json!({ "icon": format!("https://im.localhost/media/{name}?v=2") })).await.ok_b();
    let icons = async |kith: &Client| {
        let body = kith.users_info(json!(["a", "b", "c", "d", "e"])).await.ok_b();
        [0, 1, 2, 3, 4].map(|n| body["data"][n]["icon"].as_str().unwrap().to_owned())
    };
    let other = format!("https://other.example/media/{name}");
    let elsewhere = format!("https://im.localhost/media/{name}?v=2");
    assert_eq!(icons(&kith).await, [url.clone(), url.clone(), other, url, elsewhere]);
}

async fn what_is_not_there_is_404_in_family_bs_envelope(kith: &Client) {
    for name in ["0".repeat(64) + ".png", "x.png".into(), "x".into(), "0".repeat(64) + ".svg"] {
        let answer = kith.get(&format!("/media/{name}")).await;
        assert_eq!((answer.status, answer.json()), (404, json!({"errCode": 404, "errMsg": "no such call"})), "{name}");
    }
    assert_eq!(kith.post("/media/x.png", json!({})).await.status, 405);
}
