"""The book (book.toml, docs/): every link leads somewhere, and every page is in it.

What is looked at: each Markdown file of docs/, and the README, the changelog and the guides beside the code. A link is good if the
file or folder is there and, where it names a part (`page.md#part`), the page has a heading of that name. Addresses on the network are not
asked.
"""

import re
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
SUMMARY = DOCS / "SUMMARY.md"
OTHER_PAGES = ["README.md", "CHANGELOG.md", "tests/README.md", "load-tests/README.md", "load-tests/peers/README.md", "sql/README.md"]

FENCE = re.compile(r"^\s*(```|~~~)")
INLINE_CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)<>\s]*)>?(?:\s+\"[^\"]*\")?\s*\)")
HTML_LINK = re.compile(r"""<(?:img|a)\s[^>]*?(?:src|href)=["']([^"']+)["']""")
HTML_ANCHOR = re.compile(r"""\b(?:id|name)=["']([^"']+)["']""")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
HEADING_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
ELSEWHERE = ("http://", "https://", "mailto:")


def text_lines(page: str) -> Iterator[str]:
    """The lines outside blocks of code: of those between fences, and of those set in by four blanks behind an empty line."""
    in_fence = False
    is_block = False
    before = ""
    for line in page.splitlines():
        if FENCE.match(line):
            in_fence = not in_fence
        elif not in_fence:
            is_block = line.startswith("    ") and (is_block or not before.strip()) and not before.lstrip().startswith(("-", "*", "1."))
            if not is_block:
                yield line
        before = line


def links_of(page: str) -> list[str]:
    """Where the links and pictures of a page lead."""
    targets: list[str] = []
    for line in text_lines(page):
        without_code = INLINE_CODE.sub("", line.replace("[`", "[").replace("`]", "]"))
        targets += LINK.findall(without_code) + HTML_LINK.findall(without_code)
    return targets


def anchors_of(page: str) -> set[str]:
    """The names of a page's parts, as mdBook and GitHub make them of headings: lower case, blanks as `-`, no punctuation; a name
    that was there before gets a number."""
    anchors: set[str] = set()
    for line in text_lines(page):
        anchors.update(HTML_ANCHOR.findall(line))
        heading = HEADING.match(line)
        if heading is None:
            continue
        words = HEADING_LINK.sub(r"\1", heading[1]).replace("`", "").lower()
        name = "".join(letter if letter.isalnum() or letter in "-_" else "-" if letter.isspace() else "" for letter in words)
        unique, number = name, 0
        while unique in anchors:
            number += 1
            unique = f"{name}-{number}"
        anchors.add(unique)
    return anchors


def broken_links(path: Path, root: Path) -> list[str]:
    """What is wrong with the links of a page, in words. None may lead out of `root`."""
    problems = []
    for target in links_of(path.read_text()):
        if target.startswith(ELSEWHERE):
            continue
        file, _, part = target.partition("#")
        place = (path.parent / unquote(file)).resolve() if file else path
        name = path.relative_to(root)
        if not target:
            if path.name != "SUMMARY.md":
                problems.append(f"{name}: a link to nothing")
        elif not place.is_relative_to(root):
            problems.append(f"{name}: {target} leads out of the repository")
        elif not place.exists():
            problems.append(f"{name}: {target} is not there")
        elif part and place.suffix == ".md" and unquote(part) not in anchors_of(place.read_text()):
            problems.append(f"{name}: {target}: the page has no part of this name")
    return problems


class Book(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        pages = sorted(DOCS.rglob("*.md")) + [REPOSITORY / name for name in OTHER_PAGES]
        problems = [problem for page in pages for problem in broken_links(page, REPOSITORY)]
        self.assertEqual(problems, [], "\n" + "\n".join(problems))
        self.assertGreater(sum(len(links_of(page.read_text())) for page in pages), 300, "links are not found any more")

    def test_every_page_is_in_the_book_once(self):
        listed = [(DOCS / link.partition("#")[0]).resolve() for link in links_of(SUMMARY.read_text()) if link]
        self.assertEqual(sorted(listed), sorted(set(listed)), "a page is in SUMMARY.md twice")
        pages = set(DOCS.rglob("*.md")) - {SUMMARY}
        missing = sorted(str(page.relative_to(DOCS)) for page in pages - set(listed))
        self.assertEqual(missing, [], "pages that docs/SUMMARY.md does not name")

    def test_pages_outside_docs_are_not_linked_as_pages_of_the_book(self):
        """mdBook makes `.html` of every `.md` in a link: a guide beside the code is linked by its folder."""
        problems = []
        for page in sorted(DOCS.rglob("*.md")):
            for link in links_of(page.read_text()):
                file = link.partition("#")[0]
                place = (page.parent / file).resolve()
                if file.endswith(".md") and not link.startswith(ELSEWHERE) and not place.is_relative_to(DOCS):
                    problems.append(f"{page.relative_to(DOCS)}: {link}")
        self.assertEqual(problems, [], "link the folder, or the page's own words")


class Checker(unittest.TestCase):
    """The checks find what they are for."""

    def test_links_are_found_outside_code_alone(self):
        page = "# A\n[a](b.md) `[c](d.md)` [`e`](f.md#g)\n\n    [h](i.md)\n\n```\n[j](k.md)\n```\n![l](m.png)\n<img src=\"n.png\" width=\"3\">\n"
        self.assertEqual(links_of(page), ["b.md", "f.md#g", "m.png", "n.png"])

    def test_anchors_are_those_of_mdbook(self):
        page = "# Exactly once: the `ledger`\n## [Link](x.md) in it\n## Again\n## Again\n### `pulselake config print`\n## [http]\n```\n# no heading\n```\n"
        expected = {"exactly-once-the-ledger", "link-in-it", "again", "again-1", "pulselake-config-print", "http"}
        self.assertEqual(anchors_of(page), expected)

    def test_what_is_wrong_is_said(self):
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory).resolve()
            (root / "b.md").write_text("# Part one\n")
            (root / "a.md").write_text("[1](b.md#part-one) [2](b.md#part-two) [3](c.md) [4](../d.md) [5](https://example.com/x) [6](#nowhere)\n")
            problems = broken_links(root / "a.md", root)
        self.assertEqual([problem.split(": ")[1].split(" ")[0] for problem in problems], ["b.md#part-two", "c.md", "../d.md", "#nowhere"])


if __name__ == "__main__":
    unittest.main()
