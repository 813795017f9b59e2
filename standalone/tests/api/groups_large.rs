//! A group of 100,000: its list in bounded memory, and that it holds nobody up. That a call costs there what it costs in
//! a small group is a matter of the statements' plans (`svc-groups/tests/api/plans.rs`); times are printed for people.
#![expect(clippy::print_stderr, reason = "figures for people")]

use crate::groups::{Bearer, execute, number};
use crate::stack::{Kind, Stack};
use serde_json::json;
use std::time::{Duration, Instant};

const MANY: usize = 100_000;

/// Fills a group up with accounts that have names, past the API.
async fn fill(stack: &Stack, id: i64) {
    let numbers = |from: usize, to: usize| match stack.kind {
        Kind::Postgres => format!("SELECT n FROM generate_series({from}, {to}) AS t(n)"),
        Kind::Sqlite => {
            format!(
                "WITH RECURSIVE t(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM t WHERE n < {to}) SELECT n FROM t"
            )
        }
    };
    let (groups, im_auth) = (stack.groups_db().await, stack.im_auth_db().await);
    // In pieces: statements have a time limit.
    for from in (2..=MANY).step_by(10_000) {
        let rows = numbers(from, (from + 9_999).min(MANY));
        let members = format!(
            "INSERT INTO memberships (group_id, uid, place, joined_at) SELECT {id}, 'member-' || n, n, 1 FROM ({rows}) AS s"
        );
        execute(&groups, &members).await;
        let f = if stack.kind == Kind::Postgres { "false" } else { "0" };
        let accounts = format!(
            "INSERT INTO accounts (app_id, uid, implicit, name, icon, icon_changed_at, gender, mobile, birth, email, ex, \
             region, sign, is_admin, is_public_number, expert_status, point, yue, jifen, password_hash, \
             credential_version, known_addresses, created_at) SELECT 'kith', 'member-' || n, {f}, 'Name of ' || n, 'http://example.com/' || n || '.png', \
             1, 0, '', '', '', '', '', '', {f}, {f}, 0, '0', 0, 0, NULL, 0, '', 1 FROM ({rows}) AS s"
        );
        execute(&im_auth, &accounts).await;
    }
    let counted = format!(
        "INSERT INTO membership_blocks SELECT {id}, place / 512, count(*) FROM memberships WHERE group_id = {id} AND \
         place > 1 GROUP BY place / 512 ON CONFLICT (group_id, block) DO UPDATE SET members = membership_blocks.members \
         + excluded.members"
    );
    execute(&groups, &counted).await;
    execute(&groups, &format!("UPDATE groups SET members = {MANY}, last_place = {MANY} WHERE id = {id}")).await;
    if stack.kind == Kind::Postgres {
        // Autovacuum is off in the tests' server; everywhere else it does this.
        groups
            .read(|c| Ok(diesel::connection::SimpleConnection::batch_execute(c, "VACUUM ANALYZE memberships")?))
            .await
            .unwrap();
    }
    assert_eq!(
        number(&groups, &format!("SELECT count(*) AS n FROM memberships WHERE group_id = {id}")).await,
        MANY as i64
    );
    groups.close().await;
    im_auth.close().await;
}

/// The median of some calls, each after a pause, so that none is measured with another's work.
async fn median(mut call: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..41 {
        let began = Instant::now();
        call().await;
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

async fn page(user: &Bearer, id: i64, page: usize) -> usize {
    let (path, page) = (format!("/im/{id}/group_get_user_list/"), page.to_string());
    let body = user.call(&path, &[("page", &page), ("size", "20")]).await.ok_c();
    body["userinfos"].as_array().unwrap().len()
}

fn memory_of(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_100_000_is_listed_in_bounded_memory_and_holds_nobody_up() {
    let mut stack = Stack::start(&[("KITH__GROUPS__MAX_MEMBERS", "100001"), ("RUST_LOG", "warn")]).await;
    let kith = stack.client();
    let admin = kith.bearer(json!({"isAdmin": true})).await;
    let user = kith.bearer(json!({})).await;
    let (small, large) = (admin.create("small").await, admin.create("large").await);
    for _ in 0..30 {
        kith.bearer(json!({})).await.on(small, "group_join").await.ok_c();
    }
    fill(&stack, large).await;

    for (name, id, last) in [("small", small, 1), ("large", large, MANY / 20)] {
        let info = median(async || drop(kith.group_info(id).await.ok_c())).await;
        let change = median(async || {
            user.on(id, "group_join").await.ok_c();
            user.on(id, "group_quit").await.ok_c();
        })
        .await;
        let first = median(async || assert_eq!(page(&user, id, 1).await, 20)).await;
        let middle = median(async || assert_eq!(page(&user, id, last.div_ceil(2)).await, 20)).await;
        let end = median(async || assert_eq!(page(&user, id, last).await, 20)).await;
        eprintln!("{name}: info {info:?}, join and quit {change:?}, page {first:?}, middle {middle:?}, last {end:?}");
    }

    // The whole list.
    let pid = stack.process_of("groups").pid();
    // SQLite's files are mapped by every connection; what we hold ourselves is anonymous memory.
    let rss = || memory_of(pid, "RssAnon");
    let before = rss();
    let list = async || {
        let body = user.on(large, "group_get_user_list").await.ok_c();
        let members = body["userinfos"].as_array().unwrap().clone();
        assert_eq!(members.len(), MANY);
        assert_eq!(members[MANY - 1]["username"], json!(format!("member-{MANY}")));
        assert_eq!(members[MANY - 1]["nickname"], json!(format!("Name of {MANY}")));
    };
    let began = Instant::now();
    list().await;
    let took = began.elapsed();
    let once = rss();
    // Four at once, three times: 110 MB of lists. What they take is taken once.
    let patient = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(180)).build().unwrap();
    let mut peaks = Vec::new();
    for _ in 0..3 {
        let mut lists = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let mut user = user.clone();
            user.kith.http = patient.clone();
            lists.spawn(async move { user.on(large, "group_get_user_list").await.text.len() });
        }
        let mut peak = 0;
        loop {
            match tokio::time::timeout(Duration::from_millis(50), lists.join_next()).await {
                Err(_) => peak = peak.max(rss()),
                Ok(Some(length)) => {
                    let length = length.unwrap_or_else(|e| panic!("{e}\n{}", stack.logs()));
                    assert!(length > 8_000_000, "{length}");
                }
                Ok(None) => break,
            }
        }
        peaks.push(peak);
    }
    eprintln!("list of 9 MB in {took:?}; memory before {before}, after one {once}, with four at once {peaks:?} MiB");
    let peak = peaks[2];
    assert!(peak < before + 120 && peak < peaks[0] + 30, "{before} MiB grew to {peaks:?} MiB");

    // A reader who stops reading holds nobody up and costs no memory.
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let form = format!("username={}&token={}", user.uid, user.token());
        let url = format!("{}/im/{large}/group_get_user_list/", kith.url);
        let request = kith.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        stuck.push(request.send().await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = rss();
    eprintln!("8 readers who do not read: {held} MiB");
    assert!(held < peak + 60, "{peak} MiB grew to {held} MiB");
    // The kernel takes megabytes for each before it makes us wait, so they cost time for a while, which others share.
    let info = median(async || drop(kith.group_info(large).await.ok_c())).await;
    eprintln!("info meanwhile {info:?}");
    assert!(info < Duration::from_secs(1), "{info:?}");
    drop(stuck);
    tokio::time::sleep(Duration::from_secs(1)).await;

    // Dismissed meanwhile: the connection is cut, so that nobody takes the part for the whole.
    let form = format!("username={}&token={}", user.uid, user.token());
    let url = format!("{}/im/{large}/group_get_user_list/", kith.url);
    let request = kith.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
    let reading = request.send().await.unwrap();
    let began = Instant::now();
    admin.on(large, "group_dismiss").await.ok_c();
    assert!(began.elapsed() < Duration::from_millis(1500), "dismissing took {:?}", began.elapsed());
    assert!(reading.text().await.is_err(), "a list that broke off looks whole");
    let db = stack.groups_db().await;
    let began = Instant::now();
    while number(&db, &format!("SELECT count(*) AS n FROM memberships WHERE group_id = {large}")).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "not swept");
        // Others are served meanwhile.
        let call = Instant::now();
        kith.group_info(small).await.ok_c();
        assert!(call.elapsed() < Duration::from_millis(500), "{:?}", call.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("swept in {:?}", began.elapsed());
    db.close().await;
}
