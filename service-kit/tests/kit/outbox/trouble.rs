//! Refusals, outages, slowness: what waits, what dies, and that nobody else suffers.

use super::*;

on_both! {
    a_refusal_is_a_dead_letter_at_once_and_buries_no_other
    an_outage_is_waited_for_and_makes_dead_letters_only_after_the_patience
    one_lane_in_trouble_holds_up_no_other
    a_receiver_in_trouble_holds_up_no_other
    what_was_delivered_before_the_trouble_is_settled_and_the_failures_start_anew
    a_batch_that_takes_longer_than_there_is_time_is_delivered_in_parts
    a_batch_that_failed_is_tried_in_smaller_parts
    a_refused_batch_is_halved_until_the_bad_one_is_found
    without_kinds_nothing_runs_and_nothing_is_lost
}

async fn a_refusal_is_a_dead_letter_at_once_and_buries_no_other(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("bad", Some(Undelivered::Refused("bad id".into())));
    write(&db, vec![intent("a", "1"), intent("a", "bad"), intent("a", "2")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("all but one delivered", async || recorder.keys().len() == 2).await;
    until("settled", async || list(&db, false, 0, 10).await.unwrap().len() == 1).await;
    let left = list(&db, true, 0, 10).await.unwrap();
    assert_eq!((left[0].key.as_str(), left[0].is_dead, left[0].reason.as_str()), ("bad", true, "bad id"));
    // And the lane goes on.
    write(&db, vec![intent("a", "3")]).await;
    until("delivered", async || recorder.keys() == ["1", "2", "3"]).await;
}

async fn an_outage_is_waited_for_and_makes_dead_letters_only_after_the_patience(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    let now = Arc::new(AtomicI64::new(Clock::system().now().0));
    let clock = {
        let now = now.clone();
        Clock::from_fn(move || Stamp(now.fetch_add(1, Ordering::Relaxed)))
    };
    recorder.trouble("all", Some(Undelivered::Later("away".into())));
    write(&db, vec![intent("a", "1")]).await;
    let _outbox = start_at(&db, &recorder, 10, quick(), clock);
    until("failures are counted", async || {
        let waits = list(&db, false, 0, 10).await.unwrap();
        now.fetch_add(300, Ordering::Relaxed);
        waits[0].failures.is_some_and(|n| n >= 3) && waits[0].trouble.as_deref() == Some("away")
    })
    .await;
    // Six days later it still waits.
    now.fetch_add(6 * 86_400_000, Ordering::Relaxed);
    tokio::time::sleep(ms(300)).await;
    assert!(list(&db, true, 0, 10).await.unwrap().is_empty());
    // After seven it is dead.
    now.fetch_add(86_400_000, Ordering::Relaxed);
    until("dead", async || {
        now.fetch_add(300, Ordering::Relaxed);
        list(&db, true, 0, 10).await.unwrap().len() == 1
    })
    .await;
    assert_eq!(list(&db, true, 0, 10).await.unwrap()[0].reason, "away");
}

async fn one_lane_in_trouble_holds_up_no_other(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("stuck", Some(Undelivered::Later("away".into())));
    write(&db, (0..20).map(|n| intent("stuck", &n.to_string())).collect()).await;
    write(&db, vec![intent("a", "1"), intent("b", "2")]).await;
    let _outbox = start(&db, &recorder, 10, Options { lanes: 1, ..quick() });
    until("the others", async || recorder.keys().len() == 2).await;
    recorder.trouble("stuck", None);
    until("and it, when it can", async || empty(&db).await).await;
}

async fn a_receiver_in_trouble_holds_up_no_other(backend: Backend) {
    let home = Home::new(backend);
    let (db, dead, alive) = (home.open().await, Recorder::default(), Recorder::default());
    // A black hole: a call ends only with the delivery's time.
    dead.slow(Duration::from_secs(600));
    let all = |kind: &'static str| (0..200).map(move |n| Intent { kind: kind.into(), ..intent(&n.to_string(), "k") });
    // The dead one's have been due for longer.
    write(&db, all("dead").collect()).await;
    write(&db, all("alive").collect()).await;
    let builder = Outbox::builder(db.clone(), Clock::system(), quick());
    let _outbox = builder.kind("dead", 1, dead.clone()).kind("alive", 1, alive.clone()).start(&Metrics::new("test"));
    until("the other's", async || alive.keys().len() == 200).await;
    until("are settled", async || list(&db, false, 0, 1000).await.unwrap().iter().all(|l| l.kind == "dead")).await;
    // No more hands than one kind has are in the hole.
    assert_eq!(dead.0.running.lock().unwrap().len(), Options::default().lanes);
}

async fn what_was_delivered_before_the_trouble_is_settled_and_the_failures_start_anew(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    write(&db, (0..12).map(|n| intent("a", &n.to_string())).collect()).await;
    // Eleven failures in a row would be a pause of 51 s.
    let options = Options { longest_pause: Duration::from_secs(600), ..quick() };
    let stepper = Stepper { recorder: recorder.clone(), takes: ms(1), stops_after: 1 };
    let _outbox =
        Outbox::builder(db.clone(), Clock::system(), options).kind(KIND, 10, stepper).start(&Metrics::new("test"));
    until("all delivered", async || {
        assert!(list(&db, false, 0, 1).await.unwrap().iter().all(|l| l.failures <= Some(1)));
        empty(&db).await
    })
    .await;
    assert_eq!(recorder.keys(), (0..12).map(|n| n.to_string()).collect::<Vec<_>>(), "once each, in their order");
}

async fn a_batch_that_takes_longer_than_there_is_time_is_delivered_in_parts(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    write(&db, ["created", "joined", "quit"].map(|key| intent("a", key)).to_vec()).await;
    // 4.5 s of calls, and 2 s for a delivery.
    let options = Options { delivery: Duration::from_secs(2), first_pause: Duration::from_secs(600), ..quick() };
    let stepper = Stepper { recorder: recorder.clone(), takes: ms(1500), stops_after: 10 };
    let _outbox =
        Outbox::builder(db.clone(), Clock::system(), options).kind(KIND, 10, stepper).start(&Metrics::new("test"));
    until("all delivered", async || empty(&db).await).await;
    assert_eq!(recorder.keys(), ["created", "joined", "quit"]);
}

async fn a_batch_that_failed_is_tried_in_smaller_parts(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("7", Some(Undelivered::Later("too much at once".into())));
    write(&db, (0..8).map(|n| intent("a", &n.to_string())).collect()).await;
    let _outbox = start(&db, &recorder, 8, quick());
    until("those before it", async || recorder.keys().len() == 7).await;
    let sizes: Vec<usize> = recorder.batches().iter().map(|(_, keys)| keys.len()).collect();
    // 8, then 4; 4, then 2; and so on: what was delivered lets the next batch be whole again.
    assert_eq!(sizes, [4, 2, 1]);
    recorder.trouble("7", None);
    until("the last", async || empty(&db).await).await;
}

async fn a_refused_batch_is_halved_until_the_bad_one_is_found(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.trouble("700", Some(Undelivered::Refused("bad id".into())));
    write(&db, (0..1000).map(|n| intent("a", &n.to_string())).collect()).await;
    let _outbox = start(&db, &recorder, 1000, quick());
    until("settled", async || list(&db, false, 0, 10).await.unwrap().len() == 1).await;
    let expected: Vec<String> = (0..1000).filter(|n| *n != 700).map(|n| n.to_string()).collect();
    assert_eq!(recorder.keys(), expected, "in their order");
    assert!(recorder.batches().len() < 12, "{} calls", recorder.batches().len());
    assert_eq!(list(&db, true, 0, 10).await.unwrap()[0].key, "700");
}

async fn without_kinds_nothing_runs_and_nothing_is_lost(backend: Backend) {
    let home = Home::new(backend);
    let db = home.open().await;
    write(&db, vec![intent("a", "1")]).await;
    let outbox = Outbox::builder(db.clone(), Clock::system(), quick()).start(&Metrics::new("test"));
    outbox.wake(KIND);
    tokio::time::sleep(ms(300)).await;
    let began = Instant::now();
    outbox.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(!list(&db, false, 0, 10).await.unwrap()[0].is_dead);
    // Whoever has the kind delivers it.
    let recorder = Recorder::default();
    let _outbox = start(&db, &recorder, 10, quick());
    until("delivered", async || recorder.keys() == ["1"]).await;
}
