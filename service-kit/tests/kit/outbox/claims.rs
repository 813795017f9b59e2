//! Several workers at one table: who delivers a lane, and what becomes of a lane that was left.

use super::*;

on_both! {
    one_lane_is_one_workers_at_a_time
    a_lane_left_behind_is_taken_over
    a_delivery_that_outlived_its_claim_is_made_again
    who_cannot_deliver_leaves_a_lane_to_others_and_takes_it_up_when_he_can
}

async fn one_lane_is_one_workers_at_a_time(backend: Backend) {
    let home = Home::new(backend);
    // Two replicas: two doors to one database.
    let (db, other, recorder) = (home.open().await, home.open().await, Recorder::default());
    recorder.slow(ms(3));
    let _outboxes = [start(&db, &recorder, 3, quick()), start(&other, &recorder, 3, quick())];
    for n in 0..60 {
        write(&db, (0..5).map(|lane| intent(&format!("l{lane}"), &n.to_string())).collect()).await;
    }
    until("all delivered", async || empty(&db).await).await;
    assert_eq!(recorder.0.overlaps.load(Ordering::Relaxed), 0);
    let distinct: BTreeSet<_> = recorder
        .batches()
        .into_iter()
        .flat_map(|(lane, keys)| keys.into_iter().map(move |k| (lane.clone(), k)))
        .collect();
    assert_eq!(distinct.len(), 300);
}

async fn a_lane_left_behind_is_taken_over(backend: Backend) {
    let home = Home::new(backend);
    let (db, dying, recorder) = (home.open().await, home.open().await, Recorder::default());
    // Claims the lane and is never heard of again.
    let lost = Recorder::default();
    lost.slow(Duration::from_secs(60));
    let options = Options { claim: ms(700), delivery: Duration::from_secs(90), ..quick() };
    write(&db, vec![intent("a", "1")]).await;
    // With one hand, so that it does not take its own lane again.
    let _dying = start(&dying, &lost, 10, Options { lanes: 1, ..options.clone() });
    until("claimed", async || !lost.0.running.lock().unwrap().is_empty()).await;
    let began = Instant::now();
    let _outbox = start(&db, &recorder, 10, options);
    until("taken over", async || recorder.keys() == ["1"]).await;
    assert!(began.elapsed() > ms(300) && began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

async fn a_delivery_that_outlived_its_claim_is_made_again(backend: Backend) {
    let home = Home::new(backend);
    let (db, other) = (home.open().await, home.open().await);
    // One shared other side, which keeps the last state it was told; the slow one read its state early.
    let (slow, fast) = (Recorder::default(), Recorder::default());
    slow.slow(ms(1500));
    let options = Options { claim: ms(400), delivery: Duration::from_secs(9), ..quick() };
    write(&db, vec![intent("a", "1")]).await;
    let _slow = start(&db, &slow, 10, Options { lanes: 1, ..options.clone() });
    until("claimed", async || !slow.0.running.lock().unwrap().is_empty()).await;
    let _fast = start(&other, &fast, 10, options);
    until("taken over", async || fast.keys() == ["1"]).await;
    until("the slow one ends", async || !slow.keys().is_empty()).await;
    // What the slow one sent may have been older: it is told once more, by whoever is quick.
    until("told once more", async || fast.keys().len() + slow.keys().len() >= 3).await;
}

async fn who_cannot_deliver_leaves_a_lane_to_others_and_takes_it_up_when_he_can(backend: Backend) {
    let home = Home::new(backend);
    let (db, other) = (home.open().await, home.open().await);
    let (cut_off, recorder) = (Recorder::default(), Recorder::default());
    cut_off.trouble("all", Some(Undelivered::Later("away".into())));
    cut_off.0.cut_off.store(true, Ordering::Relaxed);
    let outbox = start(&db, &cut_off, 10, quick());
    write(&db, vec![intent("a", "1")]).await;
    outbox.wake(KIND);
    tokio::time::sleep(ms(400)).await;
    assert_eq!(list(&db, false, 0, 10).await.unwrap()[0].failures, Some(0), "nobody has to wait for its failures");
    let others = start(&other, &recorder, 10, quick());
    until("delivered by the other", async || recorder.keys() == ["1"]).await;
    others.stop().await;
    cut_off.trouble("all", None);
    write(&db, vec![intent("a", "2")]).await;
    cut_off.0.cut_off.store(false, Ordering::Relaxed);
    until("delivered when it can", async || cut_off.keys() == ["2"]).await;
}
