from jaxemb.data.shards.recent import Recent


def test_what_was_used_last_stays():
    recent = Recent(3)
    for key in "abc":
        recent.put(key, key.upper())
    assert recent.get("a") == "A"
    recent.put("d", "D")
    assert [recent.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    recent.put("a", "again")
    assert (recent.get("a"), len(recent)) == ("again", 3)
