"""The page of an evaluation in a real browser: findings and their images are seen, ids copied."""

from base64 import b64decode
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise

import pytest
from playwright.sync_api import expect

import browser as browsers
from exemplar import (
    Accuracy,
    Confusion,
    Duplicate,
    Evaluation,
    LabelEvaluation,
    Neighbor,
    Suspect,
)
from pictures import encoded, halves

HOSTILE = '</script><img src="https://example.com/x.png" onerror="alert(1)">\u202e'
PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
IMAGES = {f"id-{n}": encoded(halves((40 * n, 0, 0)), "JPEG") for n in range(5)}

# id-0 is called a cat and looks like the dogs id-1 and id-2; id-3 is id-1 again, as a cat.
PETS = Evaluation(
    support_set="pets",
    revision=3,
    fingerprint="f" * 64,
    head="knn",
    exemplar_count=20,
    accuracy=Accuracy(0.75, 0.5, 0.875, 16),
    labels=(
        LabelEvaluation("bird", 4, None, None, 7, "it has few exemplars"),
        LabelEvaluation("cat", 8, Accuracy(0.5, 0.25, 0.75, 8), Accuracy(0.8, 0.6, 0.9, 5)),
        LabelEvaluation("dog", 8, Accuracy(1.0, 0.7, 1.0, 8), Accuracy(0.7, 0.4, 0.9, 11)),
    ),
    confusions=(Confusion("cat", "dog", 4, ("id-0", "id-3")),),
    suspects=(
        Suspect("id-0", "cat", "dog", 0.9, (Neighbor("id-1", "dog", 0.875),)),
        Suspect("id-9", "dog", "cat", 0.4, ()),
    ),
    duplicates=(
        Duplicate("id-2", "dog", "id-4", "dog", 0.999),
        Duplicate("id-1", "dog", "id-3", "cat", 0.99),
    ),
    thumbnails=IMAGES,
)


def many(count):
    """So many labels; each but the first is once answered with the one before it."""
    names = [f"label {n:03d}" for n in range(count)]
    share = Accuracy(0.5, 0.1, 0.9, 2)
    return replace(
        PETS,
        labels=tuple(LabelEvaluation(name, 2, share, share) for name in names),
        confusions=tuple(Confusion(name, answer, 1, ("id-0",)) for answer, name in pairwise(names)),
        suspects=PETS.suspects[:1] * 100,
    )


@pytest.fixture(scope="module")
def browser():
    with browsers.started() as browser:
        yield browser


@pytest.fixture
def see(browser, tmp_path):
    """Opens the page of an evaluation; closing it checks its console and that it asked nobody."""
    with ExitStack() as stack:

        def see(found, **options):
            path = tmp_path / "report.html"
            found.save_html(path)
            return stack.enter_context(browsers.sight_of(browser, path, **options)).page

        yield see


def image_in(place):
    return b64decode(place.locator("img").get_attribute("src").partition(",")[2])


def test_the_accuracy_is_shown_with_its_interval(see):
    headline = see(PETS).locator("#headline")
    assert "75 %" in headline.inner_text()
    assert "Between 50 and 88 % with 95 % confidence" in headline.inner_text()
    box = headline.locator(".track").bounding_box()
    line = headline.locator(".interval").bounding_box()
    assert line["x"] - box["x"] == pytest.approx(0.5 * box["width"], abs=1)
    assert line["width"] == pytest.approx(0.375 * box["width"], abs=1)


def test_the_numbers_of_findings_lead_to_them(see):
    page = see(PETS)
    tiles = [" ".join(text.split()) for text in page.locator("#tiles a").all_inner_texts()]
    assert tiles == [
        "2 look like another label",
        "2 near-duplicate pairs, 1 with two labels",
        "1 of 3 labels need more exemplars",
        "1 confusion of two labels",
    ]
    page.get_by_role("link", name="confusion").click()
    expect(page.locator("#confusions h2")).to_be_in_viewport()


def test_suspects_show_their_image_and_those_that_speak_against_their_label(see):
    card = see(PETS).locator("#suspects li").first
    assert " ".join(card.locator(".words").inner_text().split()) == "labelled cat looks like dog"
    assert image_in(card.locator(".subject")) == IMAGES["id-0"]
    assert image_in(card.locator(".speakers")) == IMAGES["id-1"]
    shown = card.locator("img").first
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64


def test_a_suspect_whose_image_was_not_kept_says_so(see):
    card = see(PETS).locator("#suspects li").nth(1)
    assert card.locator(".picture").inner_text() == "no image"


@pytest.mark.parametrize(("button", "copied"), [(".id", "id-0"), (".quiet", "id-0\nid-9")])
def test_ids_are_copied(see, button, copied):
    page = see(PETS, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#suspects").locator(button).first.click()
    page.locator("#said.new").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == copied


def test_duplicates_lie_side_by_side_and_those_of_two_labels_come_first(see):
    first, second = see(PETS).locator("#duplicates li").all()
    assert "Two labels: one is wrong" in first.inner_text()
    assert "One label" in second.inner_text()
    assert [image_in(half) for half in first.locator("figure").all()] == [
        IMAGES["id-1"],
        IMAGES["id-3"],
    ]
    left, right = (half.bounding_box() for half in first.locator("figure").all())
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]


def rows(page):
    return [row.split() for row in page.locator("#labels tbody th").all_inner_texts()]


def test_labels_come_with_what_they_need_the_worst_first_and_are_sorted(see):
    page = see(PETS)
    assert rows(page) == [["bird"], ["cat"], ["dog"]]
    assert "+ 7" in page.locator("#labels tbody tr").first.inner_text()
    assert "it has few exemplars" in page.locator("#labels tbody tr").first.inner_text()
    page.get_by_role("button", name="Recall").click()
    page.get_by_role("button", name="Recall").click()
    assert rows(page) == [["dog"], ["cat"], ["bird"]]
    assert page.locator('[aria-sort="descending"]').inner_text().startswith("Recall")


def test_a_share_is_a_bar_as_long_as_itself(see):
    cell = see(PETS).locator("#labels tbody tr").nth(1).locator("td").nth(1)
    ratio = [cell.locator(part).bounding_box()["width"] for part in (".value", ".track")]
    assert ratio[0] / ratio[1] == pytest.approx(0.5, abs=0.01)


def test_few_labels_have_a_matrix_whose_cells_show_their_exemplars(see):
    page = see(PETS)
    assert page.locator(".matrix .right").all_inner_texts() == ["4", "8"]
    page.locator(".matrix .wrong button").click()
    picked = page.locator(".picked li")
    assert "4 of 8 exemplars" in picked.inner_text()
    assert [image_in(proof) for proof in picked.locator(".picture").all()] == [
        IMAGES["id-0"],
        IMAGES["id-3"],
    ]
    assert "and 2 more" in picked.inner_text()


@pytest.mark.parametrize(("count", "has_more"), [(4, False), (1, True)])
def test_confusions_that_were_not_asked_for_are_counted(see, count, has_more):
    confusion = replace(PETS.confusions[0], exemplar_count=count)
    words = see(replace(PETS, confusions=(confusion,))).locator("#confusions").inner_text()
    assert ("3 exemplars more in rarer confusions" in words) == has_more


@pytest.mark.parametrize(("count", "has_matrix"), [(2, True), (20, True), (21, False)])
def test_many_labels_have_a_list_of_confusions_only(see, count, has_matrix):
    page = see(many(count))
    assert page.locator(".matrix").is_visible() == has_matrix
    assert page.locator("#confusions .confusion").count() == min(count - 1, 8)


def test_two_hundred_labels_are_searched_and_unfolded(see):
    page = see(many(200))
    assert len(rows(page)) == 12
    page.locator("#labels .search").fill("Label 17")
    assert len(rows(page)) == 10
    page.locator("#labels .search").fill("")
    page.get_by_role("button", name="Show all 200 labels").click()
    assert len(rows(page)) == 200
    assert page.locator("#suspects li").count() == 9
    page.get_by_role("button", name="Show 60 more of 100").click()
    assert page.locator("#suspects li").count() == 69
    page.get_by_role("button", name="Show all 100").click()
    assert page.locator("#suspects li").count() == 100
    assert not page.locator("#suspects .more").is_visible()


@pytest.mark.parametrize(("scheme", "ground"), [("dark", (20, 22, 26)), ("light", (251, 251, 250))])
def test_the_page_follows_the_color_scheme(see, scheme, ground):
    page = see(PETS, color_scheme=scheme)
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == f"rgb{ground}"
    card = page.locator(".card").first
    ink = card.evaluate("card => getComputedStyle(card).color").strip("rgb()").split(", ")
    assert (int(ink[0]) > 200) == (scheme == "dark")


@pytest.mark.parametrize("found", [PETS, many(200), replace(PETS, thumbnails={})])
def test_a_phone_shows_it_without_scrolling_aside(see, found):
    page = see(found, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_without_images_the_page_says_so_and_names_the_exemplars(see):
    page = see(replace(PETS, thumbnails={}))
    assert page.locator("#imageless").is_visible()
    assert page.locator(".picture").count() == 0
    assert page.locator("#suspects li").first.locator(".id").all_inner_texts() == ["id-1", "id-0"]


def test_a_support_set_without_a_second_exemplar_has_a_page(see):
    lonely = replace(PETS, accuracy=None, confusions=(), suspects=(), duplicates=(), thumbnails={})
    page = see(lonely)
    assert "No label has two exemplars" in page.locator("#headline").inner_text()
    assert page.locator(".nothing").count() == 3
    assert not page.locator("#imageless").is_visible()


def test_hostile_names_stay_names(see):
    long = HOSTILE + "\u05d0" * 90
    pair = Duplicate(long, long, HOSTILE, "", 1.0)
    page = see(
        replace(
            PETS,
            support_set=HOSTILE,
            labels=(LabelEvaluation(long, 2, None, None, 1, HOSTILE), *PETS.labels),
            confusions=(Confusion(long, "cat", 1, (HOSTILE,)),),
            suspects=(Suspect(long, long, HOSTILE, 1.0, (Neighbor(long, HOSTILE, 1.0),)),),
            duplicates=(pair,),
        ),
        viewport=PHONE["viewport"],
    )
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert page.locator("#suspects bdi").first.text_content() == long
    assert page.locator("#duplicates").get_by_text("no label").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_notebook_shows_the_page_and_copies_ids(browser, tmp_path):
    (tmp_path / "notebook.html").write_text(PETS._repr_html_())
    may = {"permissions": ["clipboard-read", "clipboard-write"]}
    with browsers.sight_of(browser, tmp_path / "notebook.html", **may) as sight:
        frame = sight.page.frame_locator("iframe")
        assert frame.locator("h1").inner_text() == "pets"
        frame.locator("#suspects .id").first.click()
        frame.locator("#said.new").wait_for()
        sight.page.bring_to_front()
        sight.page.locator("body").click(position={"x": 1, "y": 1})
        assert sight.page.evaluate("navigator.clipboard.readText()") == "id-0"
