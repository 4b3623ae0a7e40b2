"""A version's file is inert, verified before it is parsed, and answers its canaries."""

import io
import pickle
import pickletools
from dataclasses import replace

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine import artifact, calibration, recipes
from ai_engine.artifact import ArtifactError, Content, load, pack, verify

RNG = np.random.default_rng(11)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = 0.01 * np.sign(X[:, 0]) * RNG.uniform(0.5, 2.0, 80)
NAMES = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def content() -> Content:
    fitted = recipes.fit(X, Y, np.ones(80), recipes.for_rows(80, seed=1))
    scores = fitted.predict(X)
    scale = calibration.score_scale(scores)
    return Content(
        fitted=fitted,
        calibration=calibration.fit(scores, Y, scales=np.full(80, scale), shipped_scale=scale, cost=0.002, overlap=1.0),
        feature_names=NAMES,
        canary_features=X[:4],
        manifest={"target_kind": "horizon", "recipe": {"seeds": [1, 2], "l2": 10.0}, "note": None, "flag": True},
    )


@pytest.fixture(scope="module")
def blob(content: Content) -> bytes:
    return pack(content)


def rebuilt(blob: bytes, **changes: object) -> bytes:
    return pickle.dumps(pickle.loads(blob) | changes, protocol=4)


def test_an_opened_model_answers_like_the_one_that_was_packed(content: Content, blob: bytes) -> None:
    verify(blob, sha256=artifact.sha256(blob), size=len(blob))
    model = load(blob)

    forecasts = model.forecast(X)

    scores = content.fitted.predict(X)
    np.testing.assert_array_equal(forecasts.scores, scores)
    np.testing.assert_array_equal(forecasts.expected_returns, content.calibration.expected_return(scores))
    np.testing.assert_array_equal(forecasts.confidences, content.calibration.confidence(scores))
    assert model.feature_names == NAMES
    assert model.manifest["recipe"] == {"l2": 10.0, "seeds": [1, 2]}
    model.check_canaries()


def test_one_row_of_a_batch_is_its_own_forecast(blob: bytes) -> None:
    model = load(blob)

    batch = model.forecast(X)
    single = model.forecast(X[7:8]).row(0)

    assert batch.row(7) == single
    assert len(batch) == 80


def test_packing_again_gives_the_same_bytes_whichever_objects_are_shared(content: Content) -> None:
    word = "horizon"
    equal_word = "".join(list(word))
    assert equal_word is not word

    shared = replace(content, manifest={"kind": word, "other": word})
    separate = replace(content, manifest={"other": equal_word, "kind": word})

    assert pack(shared) == pack(separate)


def test_the_pickle_names_nothing_that_could_be_imported(blob: bytes) -> None:
    operations = {operation.name for operation, _, _ in pickletools.genops(blob)}

    assert not operations & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1"}
    assert next(pickletools.genops(blob))[1] == 4


def test_joblib_opens_the_file(blob: bytes) -> None:
    body = joblib.load(io.BytesIO(blob))

    assert body["format"] == "qt-model/1"
    assert body["feature_names"] == list(NAMES)
    assert all(type(booster) is bytes for booster in body["boosters"])


@given(st.data())
@settings(max_examples=40)
def test_a_flipped_bit_is_refused_before_any_parser_sees_it(blob: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(blob) - 1))
    damaged = bytearray(blob)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(ArtifactError, match="SHA-256"):
        verify(bytes(damaged), sha256=artifact.sha256(blob), size=len(blob))


@pytest.mark.parametrize("cut", [0, 1, 1_000, -1])
def test_a_truncated_file_is_refused(blob: bytes, cut: int) -> None:
    with pytest.raises(ArtifactError, match="bytes"):
        verify(blob[:cut], sha256=artifact.sha256(blob), size=len(blob))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must never run",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused(protocol: int, capsys: pytest.CaptureFixture[str]) -> None:
    evil = pickle.dumps({"format": "qt-model/1", "boosters": Evil()}, protocol=protocol)

    with pytest.raises(ArtifactError, match="print"):
        load(evil)

    assert capsys.readouterr().out == ""


def test_a_reference_to_an_outside_object_is_refused() -> None:
    with pytest.raises(ArtifactError, match="outside"):
        load(b"\x80\x04Poutside\n.")


@pytest.mark.parametrize(
    "junk", [b"", b"nonsense", pickle.dumps([1, 2]), pickle.dumps({"format": "qt-model/2"}), pickle.dumps({})]
)
def test_something_else_than_a_model_file_is_refused(junk: bytes) -> None:
    with pytest.raises(ArtifactError):
        load(junk)


@pytest.mark.parametrize("part", ["boosters", "feature_names", "preprocessing", "calibration", "canaries", "manifest"])
def test_a_file_that_lacks_a_part_is_refused(blob: bytes, part: str) -> None:
    body = pickle.loads(blob)
    del body[part]

    with pytest.raises(ArtifactError):
        load(pickle.dumps(body, protocol=4))


@pytest.mark.parametrize(
    "changes",
    [
        {"boosters": []},
        {"boosters": ["text"]},
        {"boosters": [b"{}"]},
        {"feature_names": ["alpha", "beta", "delta"]},
        {"calibration": {"score_scale": "wide"}},
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(blob: bytes, changes: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        load(rebuilt(blob, **changes))


def test_a_model_that_answers_its_canaries_otherwise_is_refused(blob: bytes) -> None:
    canaries = pickle.loads(blob)["canaries"]
    canaries["scores"][2] += 1e-5

    with pytest.raises(ArtifactError, match="canary"):
        load(rebuilt(blob, canaries=canaries)).check_canaries()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_number_is_named(blob: bytes, bad: float) -> None:
    rows = X[:5].copy()
    rows[3, 1] = bad

    with pytest.raises(ValueError, match=r"'beta' of row 3"):
        load(blob).forecast(rows)


@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (3,)])
def test_rows_of_another_width_are_refused(blob: bytes, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="3 features"):
        load(blob).forecast(np.zeros(shape, dtype=np.float32))


def test_no_rows_give_no_forecasts(blob: bytes) -> None:
    assert len(load(blob).forecast(X[:0])) == 0


def test_a_manifest_of_anything_but_plain_values_is_refused(content: Content) -> None:
    with pytest.raises(TypeError, match="plain builtins"):
        pack(replace(content, manifest={"when": object()}))


def test_the_leading_features_are_those_that_the_outcome_follows(blob: bytes) -> None:
    leading = load(blob).leading_features(2)

    assert next(iter(leading)) == "alpha"
    assert len(leading) == 2
    assert 1.0 >= leading["alpha"] > 0.5
    assert sum(load(blob).leading_features(10).values()) == pytest.approx(1.0)


def test_a_model_that_only_ever_says_one_number_has_no_leading_feature(content: Content) -> None:
    flat = recipes.fit(X, np.full(80, 0.01), np.ones(80), recipes.for_rows(80, seed=1))

    assert load(pack(replace(content, fitted=flat))).leading_features(10) == {}
