"""Files of which the source tells the folder alone: names with the time in them, or a run's id."""

from __future__ import annotations

import pytest
from proposals import TASK, configured, proposal

HELPERS = """
import os, pickle
from datetime import datetime
from pathlib import Path
import joblib
MODELS = "/opt/airflow/models"
stamp = datetime.now().strftime("%Y")
def save(model, path):
    joblib.dump(model, path)
"""


def shared(*body: str) -> tuple[str, ...]:
    lines = TASK.format(body="\n".join(f"            {line}" for line in body))
    head = "".join(f"    {line}\n" for line in HELPERS.splitlines())
    return configured(proposal({"dags/churn.py": head + lines})).image.shared


@pytest.mark.parametrize(
    "body",
    [
        "joblib.dump(1, f'/opt/airflow/models/model_{stamp}.pkl')",
        "open(f'{MODELS}/model_{stamp}.pkl', 'wb')",
        "open('models/model_' + stamp + '.pkl', mode='w')",
        "open(os.path.join(MODELS, f'model_{stamp}.pkl'), 'wb')",
        "open(os.path.join(MODELS, stamp, 'model.pkl'), 'wb')",
        "(Path(MODELS) / f'model_{stamp}.pkl').write_bytes(b'')",
        "Path(MODELS, stamp).open('w')",
        "frame.to_csv('/opt/airflow/models/rows_{}.csv'.format(stamp))",
        "frame.to_csv(Path('models') / stamp)",
        "path = f'{MODELS}/{stamp}/model.pkl'\njoblib.dump(1, path)",
        "name = f'model_{stamp:%Y}.pkl'\njoblib.dump(1, os.path.join(MODELS, name))",
        "save(1, f'{MODELS}/model_{stamp}.pkl')",
        "os.makedirs(f'models/{stamp}', exist_ok=True)",
        "plt.savefig(str(Path(MODELS) / stamp))",
        "np.savez_compressed(f'models/{stamp}.npz')",
        "shutil.copy2(stamp, f'models/{stamp}')",
    ],
)
def test_their_folder_is_shared(body: str) -> None:
    assert shared(*body.splitlines()) == ("models",)


@pytest.mark.parametrize(
    "body",
    [
        "open(f'models/model_{stamp}.pkl')",
        "open(f'{stamp}/model.pkl', 'w')",
        "open(f'model_{stamp}.pkl', 'w')",
        "open(f'/opt/airflow/{stamp}.pkl', 'w')",
        "open(f'/opt/airflow/dags/{stamp}.json', 'w')",
        "open(f'/opt/airflow/logs/{stamp}.json', 'w')",
        "frame.to_csv(f's3://bucket/models/{stamp}.csv')",
        "frame.to_csv(stamp)",
        "joblib.dump(1, stamp)",
    ],
)
def test_others_are_not(body: str) -> None:
    assert shared(*body.splitlines()) == ()
