//! Changes as an application makes them, drawn from a seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::database::Database;

const CATEGORIES: [&str; 5] = ["'music'", "'dance'", "'how it''s made'", "'日本語 ü'", "NULL"];
const HASHTAGS: [&str; 5] =
    ["'{a,b}'", "'{}'", "NULL", "'{\"with, comma\",\"with \\\"quote\\\"\"}'", "'{a,NULL,ü}'"];
const TIMES: [&str; 4] =
    ["'2026-02-07T10:00:00.123456Z'", "'2026-02-07T12:00:00+02'", "'1970-01-01T00:00:00.000001Z'", "NULL"];
const FLAGS: [&str; 3] = ["true", "false", "NULL"];
const SEGMENTS: [&str; 3] = ["'VIP'", "'High'", "'Low'"];

/// The rows that are there, and how they change.
pub struct Changes {
    random: StdRng,
    videos: Keys,
    users: Keys,
}

struct Keys {
    prefix: &'static str,
    made: usize,
    present: Vec<String>,
    deleted: Vec<String>,
}

impl Keys {
    fn new(prefix: &'static str) -> Self {
        Self { prefix, made: 0, present: Vec::new(), deleted: Vec::new() }
    }

    /// One that was never there.
    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("{}_{}", self.prefix, self.made)
    }

    fn add(&mut self, key: String) -> String {
        self.present.push(key.clone());
        key
    }

    fn any(&self, random: &mut StdRng) -> String {
        self.present.choose(random).unwrap().clone()
    }

    fn remove(&mut self, random: &mut StdRng) -> String {
        let key = self.present.swap_remove(random.random_range(0..self.present.len()));
        self.deleted.push(key.clone());
        key
    }

    /// One that was deleted and may come back, or a new one.
    fn reborn(&mut self) -> String {
        let key = self.deleted.pop().unwrap_or_else(|| self.fresh());
        self.add(key)
    }
}

impl Changes {
    /// No rows yet.
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), videos: Keys::new("v"), users: Keys::new("u") }
    }

    /// Inserts this many videos, and half as many users.
    pub fn fill(&mut self, database: &mut Database, videos: usize) {
        for number in 0..videos {
            let key = self.videos.fresh();
            let video = self.insert_video(&key);
            self.videos.add(key);
            database.run(&video);
            if number % 2 == 0 {
                let key = self.users.fresh();
                let user = self.insert_user(&key);
                self.users.add(key);
                database.run(&user);
            }
        }
    }

    /// This many transactions, of every kind in turn.
    pub fn make(&mut self, database: &mut Database, transactions: usize) {
        for number in 0..transactions {
            let sql = self.next(number % 10);
            database.run(&sql);
        }
    }

    /// This many transactions that remove no key. What is deleted while nobody follows stays in the dimension: no row of a
    /// snapshot says that it is gone.
    pub fn make_without_deletions(&mut self, database: &mut Database, transactions: usize) {
        for kind in [0, 1, 2, 3, 7, 8].into_iter().cycle().take(transactions) {
            let sql = self.next(kind);
            database.run(&sql);
        }
    }

    fn next(&mut self, kind: usize) -> String {
        match kind {
            0 => {
                let key = self.videos.reborn();
                self.insert_video(&key)
            }
            1 | 2 => {
                let key = self.videos.any(&mut self.random);
                self.update_video(&key)
            }
            3 => {
                let key = self.videos.any(&mut self.random);
                format!("UPDATE content.videos SET status = 'banned' WHERE video_id = '{key}'")
            }
            4 => {
                let key = self.videos.remove(&mut self.random);
                format!("DELETE FROM content.videos WHERE video_id = '{key}'")
            }
            5 => self.change_a_key(),
            6 => {
                // Several versions of a row in one transaction, the row gone in between.
                let key = self.videos.any(&mut self.random);
                let (update, insert) = (self.update_video(&key), self.insert_video(&key));
                let delete = format!("DELETE FROM content.videos WHERE video_id = '{key}'");
                format!("{update};\n{delete};\n{insert}")
            }
            7 => {
                let key = self.users.reborn();
                self.insert_user(&key)
            }
            8 => {
                let key = self.users.any(&mut self.random);
                let segment = self.pick(&SEGMENTS);
                let (is_creator, joined) = (self.pick(&FLAGS), self.pick(&TIMES));
                format!(
                    "UPDATE users.profiles SET ltv_segment = {segment}, is_creator = {is_creator}, join_at = {joined}
                     WHERE user_id = '{key}'"
                )
            }
            _ => {
                let key = self.users.remove(&mut self.random);
                let other = self.users.any(&mut self.random);
                format!(
                    "DELETE FROM users.profiles WHERE user_id = '{key}';
                     UPDATE users.profiles SET device_os = 'iOS' WHERE user_id = '{other}'"
                )
            }
        }
    }

    /// To a new key, or two rows exchange theirs.
    fn change_a_key(&mut self) -> String {
        let change = |from: &str, to: &str| {
            format!("UPDATE content.videos SET video_id = '{to}' WHERE video_id = '{from}'")
        };
        let first = self.videos.any(&mut self.random);
        let second = self.videos.any(&mut self.random);
        if first != second && self.random.random_bool(0.5) {
            let way = ["on its way", &second];
            return [change(&first, way[0]), change(way[1], &first), change(way[0], way[1])].join(";\n");
        }
        let from = self.videos.remove(&mut self.random);
        let to = self.videos.fresh();
        let sql = change(&from, &to);
        self.videos.add(to);
        sql
    }

    fn pick(&mut self, of: &[&'static str]) -> &'static str {
        of.choose(&mut self.random).unwrap()
    }

    fn insert_video(&mut self, key: &str) -> String {
        let (category, hashtags, uploaded) =
            (self.pick(&CATEGORIES), self.pick(&HASHTAGS), self.pick(&TIMES));
        let (creator, duration) = (self.random.random_range(0..50), self.random.random_range(1_000..600_000));
        format!(
            "INSERT INTO content.videos (video_id, creator_id, category, region, hashtags, duration_ms, upload_time)
             VALUES ('{key}', 'u_{creator}', {category}, 'DE', {hashtags}, {duration}, {uploaded})"
        )
    }

    fn update_video(&mut self, key: &str) -> String {
        let (category, hashtags) = (self.pick(&CATEGORIES), self.pick(&HASHTAGS));
        let duration = self.random.random_range(1_000..600_000);
        format!(
            "UPDATE content.videos SET category = {category}, hashtags = {hashtags}, duration_ms = {duration}
             WHERE video_id = '{key}'"
        )
    }

    fn insert_user(&mut self, key: &str) -> String {
        let (segment, joined) = (self.pick(&SEGMENTS), self.pick(&TIMES));
        let is_creator = self.pick(&FLAGS);
        format!(
            "INSERT INTO users.profiles (user_id, register_country, device_os, is_creator, ltv_segment, join_at)
             VALUES ('{key}', 'FR', 'Android', {is_creator}, {segment}, {joined})"
        )
    }
}
