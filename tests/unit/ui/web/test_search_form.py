from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.config import SearchSettings
from indexer.core.errors import QueryError
from indexer.modalities.registry import modality_names
from search.query.filters import FacetCondition
from search.query.syntax import parse_query
from ui.web.search_form import MOST_SORTED, PAGE_SIZE, SearchForm

MODALITIES = list(modality_names())
# What a browser can send: no half characters, and no more than the page takes.
words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)
seconds = st.integers(1, 10**8).map(lambda number: number / 1000)
forms = st.builds(
    SearchForm,
    text=st.one_of(st.just(""), words),
    like=st.one_of(st.none(), st.tuples(words.filter(lambda name: name.strip()), seconds)),
    picture=st.one_of(st.just(""), words),
    labels=st.lists(words, max_size=3).map(tuple),
    folder=st.one_of(st.just(""), words),
    kinds=st.sets(st.sampled_from(MODALITIES)).map(lambda kinds: tuple(m for m in MODALITIES if m in kinds)),
    longer_s=st.one_of(st.just(0.0), seconds),
    shorter_s=st.one_of(st.just(0.0), seconds),
    since=st.one_of(st.just(""), st.dates().map(str)),
    until=st.one_of(st.just(""), st.dates().map(str)),
    weights=st.dictionaries(st.sampled_from(MODALITIES), st.integers(0, 16).map(lambda n: n / 4), max_size=3),
    sort=st.sampled_from(["relevance", "time"]),
    by_video=st.booleans(),
    unlikely=st.booleans(),
    page=st.integers(1, 200),
)


@given(forms)
def test_an_address_leads_back_to_its_form(form):
    assert SearchForm.from_address(form.to_address()) == form
    assert SearchForm.from_address("?" + form.to_address()) == form


@given(st.text(max_size=200))
def test_any_address_makes_a_form(address):
    form = SearchForm.from_address(address)
    assert 1 <= form.page <= 200
    assert SearchForm.from_address(form.to_address()) == form


def test_an_empty_form_has_no_address_and_what_is_unknown_is_left_out():
    assert SearchForm().to_address() == ""
    assert SearchForm.from_address("?v=abc&t=7&__theme=dark&p=x&sort=size&in=frames,nonsense&weigh=ocr:2,x:1") == (
        SearchForm(kinds=("frames",), weights={"ocr": 2.0})
    )
    assert SearchForm.from_address("like=clip.mp4@x").like == ("clip.mp4", 0.0)


def test_only_what_asks_for_something_is_a_question():
    assert SearchForm(sort="time", weights={"ocr": 2.0}, page=3, by_video=True).is_empty
    assert SearchForm(text=" \u200b").is_empty
    for asked in (SearchForm(text="a"), SearchForm(labels=("a",)), SearchForm(like=("a", 1.0)), SearchForm(longer_s=1)):
        assert not asked.is_empty


def parse(text):
    return parse_query(text, frozenset({"label", "duration"}))


def test_what_the_form_says_is_what_is_searched_for():
    form = SearchForm(
        text='a "red car" label:street',
        labels=("city",),
        folder="/videos/2024",
        kinds=("frames", "ocr"),
        longer_s=60,
        since="2024-05-01",
        weights={"ocr": 2.0, "speech": 3.0},
        page=3,
    )
    usual = SearchSettings(weights={"frames": 0.0, "speech": 1.0}, min_confidence=0.5)
    query = form.request().query(parse, usual)
    assert query.text == "a red car"
    assert query.phrases == ("red car",)
    assert set(query.filters.labels) == {"city", "street"}
    assert query.filters.paths == ("/videos/2024",)
    assert query.filters.facets == (FacetCondition("duration", ">=", 60), FacetCondition("date", ">=", "2024-05-01"))
    # A kind that was ticked counts, even where the settings leave it out; one that was not does not count at all.
    assert {name: weight for name, weight in query.weights.items() if weight} == {"frames": 1.0, "ocr": 2.0}
    assert (query.top_k, query.offset, query.min_confidence) == (PAGE_SIZE, 2 * PAGE_SIZE, 0.5)
    assert replace(form, unlikely=True).request().query(parse, usual).min_confidence == 0
    in_time = replace(form, sort="time").request()
    assert (in_time.top_k, in_time.offset) == (MOST_SORTED, 0)


@pytest.mark.parametrize("day", ["yesterday", "2024-5-1", "01.05.2024", "2024-13-45", "2024-05-01'; --"])
def test_a_day_that_is_none_is_refused(day):
    with pytest.raises(QueryError, match="is no date"):
        SearchForm(text="a", since=day).request()


def test_an_address_of_too_many_parts_is_no_form():
    assert SearchForm.from_address("&".join(["q=a"] * 150)) == SearchForm()
    assert "page=" not in SearchForm(text="a", page=7).to_address()  # Gradio answers an address with it by an error
