//! What operators see and do.

use super::*;

on_both! {
    a_dead_letter_is_revived_by_the_next_change_or_by_hand
    length_age_and_dead_letters_are_metrics
    retry_revives_each_dead_letter_once_though_all_are_refused_again_meanwhile
    retry_ends_the_pauses_of_lanes_that_failed
    retry_of_some_numbers_leaves_the_others_dead
}

async fn a_dead_letter_is_revived_by_the_next_change_or_by_hand(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("all", Some(Undelivered::Refused("no".into())));
    write(&db, vec![intent("a", "1"), intent("a", "2"), intent("b", "3")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("all dead", async || list(&db, true, 0, 10).await.unwrap().len() == 3).await;
    recorder.trouble("all", None);
    write(&db, vec![intent("a", "1")]).await;
    until("one revived", async || recorder.keys() == ["1"]).await;
    let third = list(&db, true, 0, 10).await.unwrap().into_iter().find(|l| l.key == "3").unwrap().id;
    assert_eq!(retry(&db, &Clock::system(), Some(vec![third, 999])).await.unwrap(), 1);
    until("another revived", async || recorder.keys() == ["1", "3"]).await;
    assert_eq!(retry(&db, &Clock::system(), None).await.unwrap(), 1);
    until("all revived", async || empty(&db).await).await;
}

async fn length_age_and_dead_letters_are_metrics(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder, metrics) = (home.open().await, Recorder::default(), Metrics::new("test"));
    recorder.trouble("bad", Some(Undelivered::Refused("no".into())));
    recorder.trouble("b", Some(Undelivered::Later("away".into())));
    let old = Stamp(Clock::system().now().0 - 90_000);
    db.transaction(move |conn| Ok(enqueue(conn, &intent("b", "waits"), old)?)).await.unwrap();
    write(&db, vec![intent("a", "bad"), intent("a", "good")]).await;
    let builder = Outbox::builder(db.clone(), Clock::system(), quick());
    let _outbox = builder.kind(KIND, 10, recorder.clone()).start(&metrics);
    until("counted", async || {
        let text = metrics.render().unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|l| l.starts_with(&format!("kith_outbox_{name}{{"))).unwrap_or_default();
            line.rsplit(' ').next().unwrap_or_default().parse::<i64>().unwrap_or(-1)
        };
        value("length") == 1 && value("dead") == 1 && value("age_seconds") >= 90 && value("delivered_total") == 1
    })
    .await;
}

async fn retry_revives_each_dead_letter_once_though_all_are_refused_again_meanwhile(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("all", Some(Undelivered::Refused("no".into())));
    // More than one transaction revives, in lanes that are buried again while the next are revived.
    const DEAD: usize = 1_700;
    for lane in 0..17 {
        write(&db, (0..100).map(|n| intent(&format!("l{lane}"), &n.to_string())).collect()).await;
    }
    let _outbox = start(&db, &recorder, 10, quick());
    let dead = async || list(&db, true, 0, 2_000).await.unwrap().len();
    until("all dead", async || dead().await == DEAD).await;
    let revived = tokio::time::timeout(Duration::from_secs(20), retry(&db, &Clock::system(), None)).await;
    assert_eq!(revived.unwrap().unwrap(), DEAD as u64, "and it ends");
    until("all dead again", async || dead().await == DEAD).await;
}

async fn retry_ends_the_pauses_of_lanes_that_failed(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("all", Some(Undelivered::Later("away".into())));
    write(&db, (0..5).map(|n| intent(&format!("l{n}"), "k")).collect()).await;
    let pause = Duration::from_secs(600);
    let _outbox = start(&db, &recorder, 10, Options { first_pause: pause, longest_pause: pause, ..quick() });
    until("all failed", async || list(&db, false, 0, 10).await.unwrap().iter().all(|l| l.failures == Some(1))).await;
    recorder.trouble("all", None);
    assert_eq!(retry(&db, &Clock::system(), None).await.unwrap(), 0);
    until("delivered", async || empty(&db).await).await;
}

async fn retry_of_some_numbers_leaves_the_others_dead(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("all", Some(Undelivered::Refused("no".into())));
    write(&db, (0..30).map(|n| intent(&format!("l{}", n % 3), &n.to_string())).collect()).await;
    let outbox = start(&db, &recorder, 10, quick());
    until("all dead", async || list(&db, true, 0, 100).await.unwrap().len() == 30).await;
    outbox.stop().await;
    let dead = list(&db, true, 0, 100).await.unwrap();
    // Named twice and in any order, some of them of nobody, more than one statement takes.
    let wanted: Vec<i64> = dead.iter().map(|l| l.id).filter(|id| id % 2 == 0).collect();
    let asked = wanted.iter().rev().chain(&wanted).copied().chain(100_000..101_200).collect();
    assert_eq!(retry(&db, &Clock::system(), Some(asked)).await.unwrap(), wanted.len() as u64);
    let alive: Vec<i64> = list(&db, false, 0, 100).await.unwrap().iter().filter(|l| !l.is_dead).map(|l| l.id).collect();
    assert_eq!(alive, wanted);
}
