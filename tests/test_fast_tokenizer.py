"""Several threads, as a server has them, with one embedder."""

import dataclasses
import sys
import threading

import numpy as np
import pytest

from jaxemb.config import Prompt
from jaxemb.encoding import count_prompt_tokens
from support.tiny_models import tiny_embedder, tiny_tokenizer

LONG = "abcdefgh " * 40


def an_embedder(**settings):
    """With a tokenizer of its own: other tests shall not meet it."""
    return dataclasses.replace(tiny_embedder(pooling="mean", **settings), tokenizer=tiny_tokenizer())


@pytest.fixture
def quick_switches():
    """Threads take turns after each few instructions, so that what can come between does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def meanwhile(act):
    """Runs `act` again and again in another thread until the function that it gives is called."""
    stop, errors = threading.Event(), []

    def run():
        try:
            while not stop.is_set():
                act()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def end():
        stop.set()
        thread.join()
        assert not errors

    return end


def test_another_thread_calls_the_tokenizer(quick_switches):
    embedder = an_embedder()
    texts = ["a cat", LONG, "b"]
    wanted = embedder.encode(texts)
    calls = iter(lambda: None, 0)
    end = meanwhile(lambda: (next(calls), embedder.tokenizer(LONG), embedder.tokenizer("a cat", padding="max_length")))
    try:
        for _ in range(40):
            np.testing.assert_array_equal(embedder.encode(texts), wanted)
    finally:
        end()


def test_another_thread_cuts_shorter(quick_switches):
    embedder = an_embedder(include_prompt=False, prompts=(Prompt(name="q", text="query: "),))
    wanted, prompt_tokens = embedder.encode([LONG], prompt_name="q"), count_prompt_tokens(embedder.tokenizer, "query: ")
    assert prompt_tokens > 4
    end = meanwhile(lambda: embedder.tokenizer(LONG, truncation=True, max_length=4))
    try:
        for _ in range(40):
            assert count_prompt_tokens(embedder.tokenizer, "query: ") == prompt_tokens
            np.testing.assert_array_equal(embedder.encode([LONG], prompt_name="q"), wanted)
    finally:
        end()


def test_two_servers_threads_with_and_without_a_prompt(quick_switches):
    embedder = an_embedder(prompts=(Prompt(name="q", text="query: "),), include_prompt=False)
    short = dataclasses.replace(embedder, config=embedder.config.model_copy(update={"max_seq_length": 9}))
    jobs = [(embedder, {"prompt_name": "q"}), (embedder, {}), (short, {})]
    wanted = [one.encode(["a cat", LONG], **settings) for one, settings in jobs]
    wrong = []

    def serve(job):
        (one, settings), right = jobs[job], wanted[job]
        for _ in range(40):
            found = one.encode(["a cat", LONG], **settings)
            if not np.array_equal(found, right):
                wrong.append(job)

    threads = [threading.Thread(target=serve, args=(job,)) for job in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_tokenizer_is_left_as_it_was():
    embedder = an_embedder()
    embedder.tokenizer(LONG, truncation=True, max_length=5, padding="max_length")
    state = embedder.tokenizer.backend_tokenizer.to_str()
    long = embedder.encode([LONG, "a"])
    assert np.abs(long[0] - long[1]).max() > 0.01
    assert embedder.tokenizer.backend_tokenizer.to_str() == state


def test_what_changes_the_tokens_is_noticed():
    embedder = an_embedder()
    right = embedder.encode(["xy " + LONG, "a[NEW]b"])
    embedder.tokenizer.truncation_side = "left"
    left = embedder.encode(["xy " + LONG, "a[NEW]b"])
    assert np.abs(left[0] - right[0]).max() > 1e-3, "the other end is cut"
    np.testing.assert_array_equal(left[1], right[1])
    embedder.tokenizer.add_tokens("[NEW]")
    assert np.abs(embedder.encode(["a[NEW]b"])[0] - right[1]).max() > 1e-3
