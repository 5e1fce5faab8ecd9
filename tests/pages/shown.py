"""What the pages should show for an answer of the API: an own statement of the formats, beside the pages' own."""

UNKNOWN = "–"
# Between a number and its unit.
GAP = "\u00a0"


def compact(value):
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # From where the smaller unit would round up to a thousand.
        if abs(value) >= limit * 0.9995:
            return f"{_digits(value / limit)}{GAP}{unit}"
    return f"{value:.0f}"


def _digits(value):
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share):
    return UNKNOWN if share is None else f"{share * 100:.1f}{GAP}%"


def surprise(value):
    if value is None:
        return UNKNOWN
    text = f"{value:.1f}"
    return f"+{text}" if value > 0 else text.replace("-", "−")


def trending_rows(videos):
    """Cells of the trending table by row; without the age, which goes on."""
    return [
        [
            str(video["rank"]),
            video["video_id"],
            video["category"] or UNKNOWN,
            video["region"] or UNKNOWN,
            f"{video['velocity_30m']:.3f}",
            percent(video["completion_rate_30m"]),
            percent(video["skip_rate_30m"]),
            compact(video["impressions_30m"]),
            surprise(video["surprise_z"]),
        ]
        for video in videos
    ]


ROWS_OF_PAGE = """() => [...document.querySelectorAll('#trending-rows tr')].map((row) => {
  const cells = [...row.children].map((cell) => cell.textContent);
  cells[1] = row.querySelector('.video button').textContent;
  cells.splice(8, 1);
  return cells.slice(0, 9);
})"""
"""The same cells as the page shows them."""
