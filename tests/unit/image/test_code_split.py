"""Which files share a layer."""

from __future__ import annotations

import posixpath

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.image.code import BUCKET_LIMIT, split
from harness.image.code_files import CodeFile

SMALL_BYTES = 100_000


def code_file(path: str, size_bytes: int) -> CodeFile:
    return CodeFile(path, f"git:{path}:{size_bytes}", size_bytes, executable=False, target=None, chunks=tuple)


def sent_bytes(before: list[CodeFile], after: list[CodeFile]) -> int:
    """How large the layers are that only the second version has."""
    known = [{file.identity for file in bucket} for bucket in split(before)]
    new = [bucket for bucket in split(after) if {file.identity for file in bucket} not in known]
    return sum(file.size_bytes + 1024 for bucket in new for file in bucket)


def changed(files: list[CodeFile], path: str) -> list[CodeFile]:
    return [code_file(file.path, file.size_bytes + 30) if file.path == path else file for file in files]


PATHS = st.lists(
    st.builds(
        lambda folders, name: posixpath.join(*folders, name),
        st.lists(st.sampled_from(["dags", "data", "deep"]), min_size=1, max_size=3),
        st.from_regex(r"[a-z]{1,4}(\.(py|csv|sql|bin))?", fullmatch=True),
    ),
    unique=True,
    max_size=40,
)


@settings(deadline=None)
@given(PATHS, st.data())
def test_each_file_is_in_one_layer_whatever_the_order(paths: list[str], data: st.DataObject) -> None:
    files = [code_file(path, data.draw(st.sampled_from([0, 500, 50_000, 5 << 20]))) for path in paths]
    buckets = split(files)
    assert sorted(file.path for bucket in buckets for file in bucket) == sorted(paths)
    assert len(buckets) <= 3 * BUCKET_LIMIT
    assert all(buckets)
    assert split(data.draw(st.permutations(files))) == buckets


CODE = [
    code_file("dags/pipeline.py", 20_000),
    code_file("dags/harness.toml", 600),
    code_file("dags/lib/f.py", 9000),
]


def test_one_large_file_beside_the_code() -> None:
    files = [*CODE, code_file("dags/data/model.bin", 200 << 20)]
    assert sent_bytes(files, changed(files, "dags/pipeline.py")) < SMALL_BYTES


def test_thousands_of_small_files_beside_the_code() -> None:
    for names in ("part-{}.csv", "part-{}", "part.{}", "{}.json", "folder{}/part.txt"):
        files = [*CODE, *(code_file(f"dags/data/{names.format(number)}", 40_000) for number in range(5000))]
        for path in ("dags/pipeline.py", "dags/lib/f.py", "dags/harness.toml"):
            assert sent_bytes(files, changed(files, path)) < SMALL_BYTES, names


def test_thousands_of_generated_modules_in_a_folder_of_their_own() -> None:
    files = [*CODE, *(code_file(f"dags/generated/m{number}.py", 40_000) for number in range(5000))]
    assert sent_bytes(files, changed(files, "dags/pipeline.py")) < SMALL_BYTES


def test_a_megabyte_of_code() -> None:
    files = [code_file(f"dags/p{number % 20}/m{number}.py", 4000) for number in range(250)]
    assert max(sent_bytes(files, changed(files, file.path)) for file in files[:40]) < 2 * SMALL_BYTES


def test_a_change_of_data_leaves_the_code_and_most_of_the_data() -> None:
    files = [*CODE, *(code_file(f"dags/data/{number}.csv", 100_000) for number in range(2000))]
    assert sent_bytes(files, changed(files, "dags/data/7.csv")) < 20 << 20


def test_code_lies_above_data() -> None:
    files = [*CODE, code_file("dags/data/model.bin", 200 << 20)]
    assert [file.path for file in split(files)[0]] == ["dags/data/model.bin"]
    assert any(file.path == "dags/pipeline.py" for file in split(files)[-1])
