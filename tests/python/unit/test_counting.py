"""`Registry.count`, `Registry.labels` and `labelled`."""

import asyncio
import functools
import inspect
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import ConfigError, Counted, Outcome, Registry, RegistryFull, labelled

if sys.platform == "linux":
    from hitring import SharedCounter, SharedRegistry


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def shared(tmp_path):
    if sys.platform != "linux":
        pytest.skip("files are shared on Linux only")
    return SharedRegistry(tmp_path / "hits.ring", max_endpoints=8)


class TestCount:
    def test_calls_are_counted_and_answered(self, registry):
        @registry.count("jobs")
        def job(first, *, second):
            """What it does."""
            return first, second

        assert job(1, second=2) == (1, 2)
        assert [job(n, second=n) for n in range(3)] == [(n, n) for n in range(3)]
        assert registry.query_hits("jobs") == 4
        assert (job.__name__, job.__doc__) == ("job", "What it does.")
        assert str(inspect.signature(job)) == "(first, *, second)"
        with pytest.raises(TypeError, match="second"):
            job(1)
        assert registry.query_hits("jobs") == 5, "it was called"

    def test_an_exception_is_counted_and_passes(self, registry):
        @registry.count("fails")
        def fails():
            raise KeyError("gone")

        with pytest.raises(KeyError, match="gone"):
            fails()
        with pytest.raises(KeyError, match="gone"), registry.count("fails"):
            raise KeyError("gone")
        assert registry.query_hits("fails") == 2

    def test_methods_and_partials(self, registry):
        class Service:
            @registry.count("method")
            def method(self):
                return self

            @classmethod
            @registry.count("class")
            def of_class(cls):
                return cls

        service = Service()
        assert service.method() is service
        assert service.of_class() is Service
        assert registry.count("partial")(functools.partial(max, 3))(5) == 5
        assert [registry.query_hits(name) for name in ("method", "class", "partial")] == [1, 1, 1]

    def test_a_coroutine_is_counted_when_it_runs(self, registry):
        @registry.count("async")
        async def job(number):
            await asyncio.sleep(0)
            return number

        assert inspect.iscoroutinefunction(job)
        waits = job(4)
        assert registry.query_hits("async") == 0
        assert asyncio.run(waits) == 4
        job(5).close()
        assert registry.query_hits("async") == 1

    def test_a_generator_is_counted_when_it_begins(self, registry):
        ended = []

        @registry.count("generator")
        def numbers():
            try:
                while True:
                    try:
                        sent = yield len(ended)
                        if sent == "end":
                            return "ended"
                    except LookupError:  # noqa: PERF203
                        ended.append("caught")
            finally:
                ended.append("closed")

        assert inspect.isgeneratorfunction(numbers)
        running = numbers()
        assert registry.query_hits("generator") == 0
        assert (next(running), running.throw(LookupError()), registry.query_hits("generator")) == (0, 1, 1)
        with pytest.raises(StopIteration, match="ended"):
            running.send("end")
        other = numbers()
        next(other)
        other.close()
        assert (ended, registry.query_hits("generator")) == (["caught", "closed", "closed"], 2)

    def test_an_async_generator_gets_what_is_sent_thrown_and_closed(self, registry):
        seen = []

        @registry.count("stream")
        async def stream():
            try:
                while True:
                    try:
                        seen.append((yield len(seen)))
                    except LookupError as error:  # noqa: PERF203
                        seen.append(type(error))
            finally:
                await asyncio.sleep(0)
                seen.append("closed")

        async def ask():
            running = stream()
            assert registry.query_hits("stream") == 0
            told = [await running.__anext__(), await running.asend("sent"), await running.athrow(LookupError())]
            assert registry.query_hits("stream") == 1
            await running.aclose()
            async for number in stream():
                told.append(number)
                break
            return told

        assert inspect.isasyncgenfunction(stream)
        told = asyncio.run(ask())
        assert told[:3] == [0, 1, 2]
        assert (seen[:3], told[3], registry.query_hits("stream")) == (["sent", LookupError, "closed"], 3, 2)

    def test_an_async_generator_ends_and_fails_as_it_does(self, registry):
        @registry.count("stream")
        async def stream(fails):
            yield 1
            if fails:
                raise KeyError("gone")

        async def ask(fails):
            return [number async for number in stream(fails)]

        assert asyncio.run(ask(fails=False)) == [1]
        with pytest.raises(KeyError, match="gone"):
            asyncio.run(ask(fails=True))
        assert registry.query_hits("stream") == 2

    def test_blocks_with_amounts(self, registry):
        block = registry.count("block", 3)
        assert repr(block) == "<hitring count of 'block'>"
        with block as entered, block:
            assert entered is block
            assert registry.query_hits("block") == 6
        assert isinstance(block, Counted)

    def test_a_hit_that_is_refused_changes_nothing(self):
        registry = Registry(max_endpoints=1)
        registry.record_hit("/a")
        assert registry.count("/b")(lambda: 5)() == 5
        assert (registry.endpoints(), registry.metrics().refused) == (["/a"], 1)

    def test_what_cannot_be_counted_is_told_at_once(self, registry):
        for wrong, error in [(5, TypeError), ("", ValueError), ("x" * 1_025, ValueError)]:
            with pytest.raises(error):
                registry.count(wrong)
        with pytest.raises(ValueError, match="amount"):
            registry.count("/a", -1)

    def test_in_a_file(self, shared):
        @shared.count("jobs")
        def job():
            return 1

        assert (job(), job(), shared.query_hits("jobs"), shared.total_ever("jobs")) == (1, 1, 2, 2)


class TestLabels:
    def test_the_order_of_labels_does_not_matter(self, registry):
        assert registry.labels("http", status=200, route="/a").record() is Outcome.COUNTED
        registry.labels("http", route="/a", status="200").record(2)
        assert registry.endpoints() == ['http{route="/a",status="200"}']
        assert registry.labels("http", status=200, route="/a").count() == 3
        assert registry.labels("http").endpoint == "http"
        # A label may have any name, also those of parameters.
        assert registry.labels("http", name="n", self="s").endpoint == 'http{name="n",self="s"}'

    def test_values_are_escaped(self):
        assert labelled("http", a='a "b" \\ c\nd\te') == 'http{a="a \\"b\\" \\\\ c\\nd\te"}'

    def test_in_a_file(self, shared):
        counter = shared.labels("http", route="/a")
        assert isinstance(counter, SharedCounter)
        counter.record()
        assert shared.query_hits('http{route="/a"}') == 1

    @pytest.mark.parametrize("name", ["", "5xx", "a-b", "a b", "a{", "ä", "a\n"])
    def test_names_that_prometheus_does_not_have(self, name):
        with pytest.raises(ConfigError, match="cannot have labels: such a name begins"):
            labelled(name, a="b")

    @pytest.mark.parametrize("label", ["", "5", "a-b", "__name__", "a:b", "ä"])
    def test_labels_that_prometheus_does_not_have(self, label):
        with pytest.raises(ConfigError, match="is not a label: a label begins with a letter or '_'"):
            labelled("http", **{label: "b"})

    def test_a_full_registry_says_so(self):
        registry = Registry(max_endpoints=1)
        registry.labels("http", status=200)
        with pytest.raises(RegistryFull):
            registry.labels("http", status=404)

    @given(st.dictionaries(st.from_regex(r"\A[a-z_]{1,5}\Z").filter(lambda label: label[:2] != "__"), st.text()))
    def test_prometheus_client_reads_the_same_labels(self, labels):
        parser = pytest.importorskip("prometheus_client.parser")
        # A carriage return would end a line for the parser alone, and a lone surrogate has no UTF-8.
        kept = {label: value for label, value in labels.items() if value.isprintable() or set(value) <= set('\\"\n')}
        name = labelled("http", **kept)
        [family] = parser.text_string_to_metric_families(f"{name} 1\n")
        assert [sample.labels for sample in family.samples] == [kept]
