"""Which calls read and write files, by their names."""

from __future__ import annotations

READS_FIRST = frozenset(
    {
        "genfromtxt",
        "listdir",
        "load",
        "load_model",
        "loadtxt",
        "read_csv",
        "read_excel",
        "read_feather",
        "read_json",
    }
    | {"read_parquet", "read_pickle", "read_table", "scandir"}
)
WRITES_FIRST = frozenset(
    {
        "makedirs",
        "mkdir",
        "save",
        "save_model",
        "savefig",
        "savetxt",
        "save_pretrained",
        "savez",
        "savez_compressed",
        "sink_csv",
        "sink_parquet",
        "to_csv",
        "to_excel",
        "to_feather",
    }
    | {"to_hdf", "to_html", "to_json", "to_parquet", "to_pickle", "urlretrieve", "write_csv", "write_html"}
    | {"write_image", "write_parquet"}
)
FOLDERS = frozenset({"makedirs", "mkdir", "listdir", "scandir"})
SECOND_WRITES = frozenset(
    {"joblib.dump", "torch.save", "urlretrieve"}
    | {"shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move"}
)
DATABASES = frozenset({"duckdb.connect", "sqlite3.connect"})  # of a file, which they make
STARTS = frozenset(
    {
        *(f"subprocess.{name}" for name in ("call", "check_call", "check_output", "Popen", "run")),
        "os.popen",
        "os.system",
    }
)
FIRST_READS = frozenset({"shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move"})
OF_PATHS = {
    "mkdir": "write",
    "read_bytes": "read",
    "read_text": "read",
    "write_bytes": "write",
    "write_text": "write",
}
LOADERS = frozenset({"joblib", "np", "numpy", "torch", "pd", "pandas", "pl", "polars", "os"})
LOOKS = READS_FIRST | {
    "Path", "abspath", "basename", "debug", "dirname", "exists", "get", "getenv", "getsize", "glob", "info", "isdir",
    "isfile", "join", "print", "str", "warning",
}  # fmt: skip
ASKS = frozenset({"exists", "is_dir", "is_file", "isdir", "isfile"})
PATH_KEYWORDS = ("path", "filepath_or_buffer", "path_or_buf", "filename", "fname", "io", "file")
