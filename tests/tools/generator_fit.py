#!/usr/bin/env python3
"""How well the generator fits the real sample: prints the table of docs/generator.md.

    cargo run --release -p pulselake-generator --example views > /tmp/views.csv
    tests/tools/generator_fit.py tests/fixtures/kuaishou/content_events.ndjson.gz /tmp/views.csv

Both sides are reduced to the same thing: rows (user, video, time of the impression, ending, watched ms, duration ms).
"""

import csv
import datetime
import gzip
import json
import sys
from collections import Counter, defaultdict

SESSION_CUT_S = 1_800
LONGEST_VIDEO_MS = 60_000


def sample_rows(path):
    """Rows of the sample's NDJSON file: one per impression that was played."""
    rows, open_rows = [], {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            key = (event["user_id"], event["video_id"])
            time = datetime.datetime.fromisoformat(event["event_timestamp"].replace("Z", "+00:00"))
            if event["event_type"] == "impression":
                open_rows[key] = time.timestamp()
            elif event["event_type"] in ("play_finish", "skip") and key in open_rows:
                body = event["payload"]
                rows.append((*key, open_rows.pop(key), event["event_type"], body["watch_time_ms"], body["video_duration_ms"]))
    return rows


def generated_rows(path):
    """Rows of the example's CSV file. A video's duration is the watch time of any play that came to its end."""
    durations, rows = {}, []
    with open(path, newline="", encoding="utf-8") as lines:
        table = list(csv.DictReader(lines))
    for row in table:
        if row["ending"] == "play_finish":
            durations[row["video"]] = int(row["watch_time_ms"])
    for row in table:
        duration_ms = durations.get(row["video"], 0)
        rows.append((row["user"], row["video"], int(row["impression_ms"]) / 1_000, row["ending"], int(row["watch_time_ms"]), duration_ms))
    return rows


def quantiles(values, at=(0.1, 0.25, 0.5, 0.75, 0.9)):
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in at]


def ks_distance(left, right):
    """The two-sample Kolmogorov-Smirnov statistic: the largest distance between the two distribution functions."""
    left, right = sorted(left), sorted(right)
    i = j = 0
    largest = 0.0
    while i < len(left) and j < len(right):
        value = min(left[i], right[j])
        while i < len(left) and left[i] == value:
            i += 1
        while j < len(right) and right[j] == value:
            j += 1
        largest = max(largest, abs(i / len(left) - j / len(right)))
    return largest


class Figures:
    """Everything that is compared, of one side."""

    def __init__(self, rows):
        rows = sorted(rows, key=lambda row: row[2])
        self.rows, self.users = len(rows), len({row[0] for row in rows})
        by_video = sorted(Counter(row[1] for row in rows).values())
        count, total = len(by_video), sum(by_video)
        self.videos = count
        self.top_fifth = sum(by_video[-(count // 5):]) / total
        self.top_hundredth = sum(by_video[-(count // 100):]) / total
        running = cumulated = 0
        for views in by_video:
            running += views
            cumulated += running
        self.gini = 1 + 1 / count - 2 * cumulated / (count * total)
        hours = Counter(int(row[2] // 3_600) % 24 for row in rows)
        self.hours = [hours[hour] * 24 / len(rows) for hour in range(24)]
        short = [row for row in rows if 0 < row[5] <= LONGEST_VIDEO_MS]
        self.durations_s = [duration / 1_000 for duration in {row[1]: row[5] for row in short}.values()]
        self.skips = [row[4] / row[5] for row in short if row[3] == "skip"]
        self.finished = sum(row[3] == "play_finish" for row in short) / len(short)
        self.views_per_user = list(Counter(row[0] for row in rows).values())
        self.follow(rows)

    def follow(self, rows):
        by_user = defaultdict(list)
        for row in rows:
            by_user[row[0]].append(row)
        self.gaps_s, self.breaks_h, self.session_s, self.session_views = [], [], [], []
        overlaps = repeats = same_time = 0
        for views in by_user.values():
            seen, begin, shown = set(), views[0][2], 0
            for before, view in zip([None, *views], views):
                repeats += view[1] in seen
                seen.add(view[1])
                if before is not None:
                    gap = view[2] - before[2]
                    same_time += gap == 0
                    # Rows of one moment are a batch of the sample's log, not views of one moment.
                    overlaps += 0 < gap < before[4] / 1_000 - 2
                    if gap > SESSION_CUT_S:
                        self.breaks_h.append(gap / 3_600)
                        self.session_s.append(before[2] - begin)
                        self.session_views.append(shown)
                        begin, shown = view[2], 0
                    elif gap > 0:
                        self.gaps_s.append(gap)
                shown += 1
            self.session_s.append(views[-1][2] - begin)
            self.session_views.append(shown)
        self.repeats, self.overlaps, self.same_time = repeats / len(rows), overlaps / len(rows), same_time / len(rows)


def main():
    sample, generated = Figures(sample_rows(sys.argv[1])), Figures(generated_rows(sys.argv[2]))
    print("| figure | sample | generator | distance |\n|---|---|---|---|")
    for name in ("rows", "users", "videos"):
        print(f"| {name} | {getattr(sample, name):,} | {getattr(generated, name):,} | |")
    shares = {
        "share of the top 20 % of videos": "top_fifth",
        "share of the top 1 % of videos": "top_hundredth",
        "Gini of views per video": "gini",
        "played to the end": "finished",
        "repeat rate (same user, same video)": "repeats",
        "views that begin before the one before ended": "overlaps",
        "views of the same moment as the one before": "same_time",
        "sessions of one view": None,
    }
    for label, name in shares.items():
        if name is None:
            left, right = (sum(n == 1 for n in side.session_views) / len(side.session_views) for side in (sample, generated))
        else:
            left, right = getattr(sample, name), getattr(generated, name)
        print(f"| {label} | {left:.3f} | {right:.3f} | {right - left:+.3f} |")
    distributions = {
        "duration of videos up to 60 s, s": "durations_s",
        "watched part at a skip": "skips",
        "gap between views in a session, s": "gaps_s",
        "break between sessions, h": "breaks_h",
        "length of a session, s": "session_s",
        "views of a session": "session_views",
        "views of a user": "views_per_user",
    }
    for label, name in distributions.items():
        left, right = getattr(sample, name), getattr(generated, name)
        texts = [" / ".join(f"{value:.3g}" for value in quantiles(side)) for side in (left, right)]
        print(f"| {label} (10/25/50/75/90 %) | {texts[0]} | {texts[1]} | KS {ks_distance(left, right):.3f} |")
    worst = max(abs(left - right) for left, right in zip(sample.hours, generated.hours))
    shift = sum(abs(left - right) for left, right in zip(sample.hours, generated.hours)) / 48
    print(f"| views per hour of day, mean 1 | {min(sample.hours):.2f} to {max(sample.hours):.2f} | {min(generated.hours):.2f} to {max(generated.hours):.2f} | largest {worst:.2f}, moved {shift:.1%} |")


if __name__ == "__main__":
    main()
