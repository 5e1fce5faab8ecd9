use pulselake_source::*;
use std::time::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(") ").next().unwrap().split(' ').collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
#[test]
fn bench() {
    let topic = std::env::var("BENCH_TOPIC").unwrap();
    if std::env::var("FILL").is_ok() {
        let s = KafkaSink::connect(&KafkaSinkSettings {
            brokers: "127.0.0.1:29092".into(),
            topic: topic.clone(),
            ..Default::default()
        })
        .unwrap();
        let t = Instant::now();
        let c = cpu();
        let mut v = vec![b'x'; 244];
        for i in 0..2_000_000u32 {
            for k in 0..200 {
                v[k] = b'a' + ((i.wrapping_mul(2654435761).wrapping_add(k as u32 * 7919) >> 13) % 26) as u8;
            }
            s.send(Some((i % 12) as i32), b"v_1234", &v, 1770000000000 + i as i64).unwrap();
        }
        println!("{}", s.flush(Duration::from_secs(100)).unwrap());
        println!("fill {:?} cpu {}", t.elapsed(), cpu() - c);
    }
    let prefetch: u64 = std::env::var("PREFETCH").ok().map_or(64 << 20, |s| s.parse().unwrap());
    let t = Instant::now();
    let c = cpu();
    let src = KafkaSource::connect(KafkaSettings {
        brokers: "127.0.0.1:29092".into(),
        topic,
        group_mode: GroupMode::Assign,
        prefetch_max_bytes: prefetch,
        ..Default::default()
    })
    .unwrap();
    println!("connect {:?}", t.elapsed());
    let mut rs: Vec<_> = (0..12)
        .map(|p| {
            let h = src.bounds(p).unwrap().high;
            src.open(p, 0, Some(h)).unwrap()
        })
        .collect();
    println!("open {:?}", t.elapsed());
    let mut n = 0usize;
    let mut b = 0usize;
    let mut polls = 0;
    let mut empty = 0;
    while !rs.is_empty() {
        let mut i = 0;
        let mut any = false;
        while i < rs.len() {
            let p = rs[i].poll(4096, 1 << 20).unwrap();
            polls += 1;
            if p.batch.records.is_empty() {
                empty += 1
            } else {
                any = true
            }
            n += p.batch.records.len();
            b += p.batch.bytes.len();
            if p.state == ReaderState::Finished {
                rs.swap_remove(i);
            } else {
                i += 1;
            }
        }
        if !any {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    println!("read {n} {b} in {:?} cpu {:.2} polls {polls} empty {empty}", t.elapsed(), cpu() - c);
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", s.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
