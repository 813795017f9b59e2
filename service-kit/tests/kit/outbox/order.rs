//! What is delivered, and in which order.

use super::*;
use diesel::prelude::*;

on_both! {
    intents_are_delivered_once_in_the_order_of_their_lane
    what_waits_coalesces
    a_change_during_a_delivery_is_delivered_again
    an_intent_written_while_its_lane_is_being_dropped_is_delivered
    nothing_is_lost_while_writers_and_workers_race
    a_rolled_back_change_tells_nobody
    many_intents_at_once_are_what_they_are_one_by_one
    transactions_of_several_lanes_in_opposite_orders_do_not_deadlock
}

async fn intents_are_delivered_once_in_the_order_of_their_lane(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    for n in 0..5 {
        write(&db, vec![intent("a", &n.to_string()), intent("b", &n.to_string())]).await;
    }
    let _outbox = start(&db, &recorder, 2, quick());
    until("all delivered", async || empty(&db).await).await;
    for lane in ["a", "b"] {
        let of_lane: Vec<_> = recorder.batches().into_iter().filter(|(l, _)| l == lane).map(|(_, k)| k).collect();
        assert_eq!(of_lane, [vec!["0", "1"], vec!["2", "3"], vec!["4"]]);
    }
    tokio::time::sleep(ms(200)).await;
    assert_eq!(recorder.keys().len(), 10);
}

async fn what_waits_coalesces(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    for n in 0..50 {
        write(&db, vec![Intent { detail: n.to_string(), ..intent("a", "k") }]).await;
    }
    let outbox = start(&db, &recorder, 10, quick());
    until("delivered", async || empty(&db).await).await;
    assert_eq!(recorder.keys(), ["k49"]);
    // A wake-up is quicker than the next look.
    write(&db, vec![intent("a", "x")]).await;
    outbox.wake(KIND);
    until("delivered", async || empty(&db).await).await;
}

async fn a_change_during_a_delivery_is_delivered_again(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.slow(ms(400));
    write(&db, vec![intent("a", "k")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("the delivery runs", async || !recorder.0.running.lock().unwrap().is_empty()).await;
    write(&db, vec![intent("a", "k"), intent("a", "other")]).await;
    until("delivered", async || empty(&db).await).await;
    assert_eq!(recorder.batches(), [("a".into(), vec!["k".into()]), ("a".into(), vec!["k".into(), "other".into()])]);
}

async fn an_intent_written_while_its_lane_is_being_dropped_is_delivered(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    recorder.slow(ms(300));
    write(&db, vec![intent("a", "1")]).await;
    let _outbox = start(&db, &recorder, 10, quick());
    until("the delivery runs", async || !recorder.0.running.lock().unwrap().is_empty()).await;
    // Not committed when the worker finds the lane empty.
    let now = Clock::system().now();
    db.transaction(move |conn| {
        enqueue(conn, &intent("a", "2"), now)?;
        std::thread::sleep(ms(900));
        Ok(())
    })
    .await
    .unwrap();
    until("delivered", async || recorder.keys() == ["1", "2"]).await;
}

async fn nothing_is_lost_while_writers_and_workers_race(backend: Backend) {
    let home = Home::new(backend);
    let (db, other, recorder) = (home.open().await, home.open().await, Recorder::default());
    let outboxes = [start(&db, &recorder, 4, quick()), start(&other, &recorder, 4, quick())];
    // The truth, as versions by lane and key: the last one delivered must be the last one written.
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicI64::new(0));
    let written: Arc<Mutex<BTreeMap<String, i64>>> = Arc::default();
    let writers: Vec<_> = (0..4)
        .map(|w| {
            let (db, stop, next, written) = (db.clone(), stop.clone(), next.clone(), written.clone());
            let outbox = outboxes[w % 2].clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let (lane, key) = (format!("l{}", n % 3), format!("{w}."));
                    write(&db, vec![Intent { detail: n.to_string(), ..intent(&lane, &key) }]).await;
                    written.lock().unwrap().insert(format!("{lane} {key}"), n);
                    outbox.wake(KIND);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    until("all delivered", async || empty(&db).await).await;
    let mut told = BTreeMap::new();
    for (lane, keys) in recorder.batches() {
        for key in keys {
            let (who, n) = key.split_once('.').unwrap();
            told.insert(format!("{lane} {who}."), n.parse::<i64>().unwrap());
        }
    }
    assert_eq!(told, *written.lock().unwrap());
    assert!(next.load(Ordering::Relaxed) > 100);
}

async fn a_rolled_back_change_tells_nobody(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    let _outbox = start(&db, &recorder, 10, quick());
    let now = Clock::system().now();
    let failed = db
        .transaction(move |conn| {
            enqueue(conn, &intent("a", "1"), now)?;
            Err::<(), _>(service_kit::Code::GroupFull.into())
        })
        .await;
    assert!(failed.is_err());
    tokio::time::sleep(ms(300)).await;
    assert!(recorder.keys().is_empty() && empty(&db).await);
}

/// Id order, version, detail, whether dead: of all intents.
async fn rows(db: &Db) -> Vec<(String, String, i64, String, bool)> {
    diesel::table! {
        outbox (id) { id -> BigInt, lane -> Text, key -> Text, version -> BigInt, detail -> Text, dead -> Bool, }
    }
    let columns = (outbox::lane, outbox::key, outbox::version, outbox::detail, outbox::dead);
    db.read(move |conn| Ok(outbox::table.order(outbox::id).select(columns).load(conn)?)).await.unwrap()
}

async fn many_intents_at_once_are_what_they_are_one_by_one(backend: Backend) {
    // Lanes and keys in no order, some twice, more than one statement takes.
    let random = |n: usize| (n * 7_919) % 1_103;
    let intents: Vec<Intent> = (0..1_400)
        .map(|n| Intent { detail: n.to_string(), ..intent(&(random(n) % 97).to_string(), &random(n).to_string()) })
        .collect();
    let now = Clock::system().now();
    let mut both = Vec::new();
    for at_once in [true, false] {
        let home = Home::new(backend);
        let (db, recorder) = (home.open().await, Recorder::default());
        // One is dead before, one waits before.
        recorder.trouble("0", Some(Undelivered::Refused("no".into())));
        write(&db, vec![intent("0", "0")]).await;
        let outbox = start(&db, &recorder, 10, quick());
        until("dead", async || list(&db, true, 0, 10).await.unwrap().len() == 1).await;
        outbox.stop().await;
        write(&db, vec![intent("3", "100")]).await;
        for some in intents.chunks(if at_once { intents.len() } else { 200 }) {
            let some = some.to_vec();
            db.transaction(move |conn| {
                if at_once {
                    return Ok(enqueue_all(conn, &some, now)?);
                }
                some.iter().try_for_each(|intent| Ok(enqueue(conn, intent, now)?))
            })
            .await
            .unwrap();
        }
        both.push(rows(&db).await);
        // And all are delivered.
        let _outbox = start(&db, &Recorder::default(), 100, quick());
        until("all delivered", async || empty(&db).await).await;
    }
    // One by one each renewal counts; at once those that coalesce are one change.
    for row in both.iter_mut().flatten() {
        assert!(row.2 >= 1 && !row.4, "{row:?}");
        row.2 = 0;
    }
    assert_eq!(both[0].len(), 1_103);
    assert_eq!(both[0], both[1]);
}

async fn transactions_of_several_lanes_in_opposite_orders_do_not_deadlock(backend: Backend) {
    let home = Home::new(backend);
    let (db, recorder) = (home.open().await, Recorder::default());
    // Numbers, whose order is another one as text, and text whose order the database's collation changes.
    let lanes: Vec<String> =
        (1..=12).map(|n| n.to_string()).chain(["a", "B", "ä", "a-b", "aB"].map(String::from)).collect();
    let outbox = start(&db, &recorder, 10, quick());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..6_usize {
        let (db, mut lanes, outbox) = (db.clone(), lanes.clone(), outbox.clone());
        tasks.spawn(async move {
            for round in 0..40 {
                match (task + round) % 3 {
                    0 => lanes.reverse(),
                    1 => lanes.sort(),
                    _ => lanes.rotate_left(5),
                }
                let intents: Vec<Intent> = lanes.iter().map(|lane| intent(lane, &task.to_string())).collect();
                let now = Clock::system().now();
                db.transaction(move |conn| Ok(enqueue_all(conn, &intents, now)?)).await.unwrap();
                outbox.wake(KIND);
                if task == 0 && round % 10 == 0 {
                    retry(&db, &Clock::system(), None).await.unwrap();
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    until("all delivered", async || empty(&db).await).await;
    // Not even one that the door repeated.
    assert_eq!(db.stats().retries, 0);
}
