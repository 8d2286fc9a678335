from handful.errors import unknown_name


def test_an_unknown_name_lists_the_choices_nearest_first():
    error = unknown_name("task", "block-liftin", ["pouring", "block-stacking", "block-lifting"])
    assert str(error).startswith("unknown task 'block-liftin': did you mean 'block-lifting'?")
    assert str(error).index("block-lifting, ") < str(error).index("pouring")


def test_a_name_like_none_of_the_choices_gets_no_guess():
    assert "did you mean" not in str(unknown_name("task", "xyzzy", ["block-lifting"]))
