"""Pictures for the data_prep tests: drawn ones, and the real ones where they are at hand."""

from multiprocessing import forkserver
from pathlib import Path

import pytest

from data_prep.synthesize import Sample, synthesize

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _fork_server() -> None:
    """Start the server of worker processes with what they import, or each would import it by itself."""
    forkserver.set_forkserver_preload(["data_prep.prepare", "data_prep.synthesize"])
    forkserver.ensure_running()


@pytest.fixture(scope="session")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn portraits of 160 pixels in the CAT layout."""
    folder = tmp_path_factory.mktemp("drawn") / "portraits"
    synthesize(Sample(folder, 12, 160, seed=3), 2)
    return folder


@pytest.fixture
def shared() -> Path:
    """The folder of real images."""
    if not SHARED.is_dir():
        pytest.skip(f"the real images are not here ({SHARED})")
    return SHARED
