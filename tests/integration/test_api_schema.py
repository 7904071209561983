"""T52: requests made by chance from the description of the API: no error of the service, and no answer that the description lacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from data_sanitizer.api.documentation import described
from data_sanitizer.api_server import create_app
from tests.api import Api, in_process

OPERATIONS = [(path, method.upper()) for path, methods in described(create_app())["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with in_process(tmp_path_factory.mktemp("api"), tenant_open_jobs=10**9) as found:
        yield found


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_t52_every_answer_is_described(api: Api, path: str, method: str) -> None:
    operation = schemathesis.openapi.from_asgi("/api/openapi.json", api.http.app)[path][method]
    key = api.key("a", "admin")
    # Which addresses are public, and whether webhooks are switched on, the description cannot say.

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(operation.as_strategy())
    def holds(case: schemathesis.Case) -> None:
        if case.query:
            case.query.pop("cursor", None)  # a text made by chance is no cursor, and the description cannot say so
        case.call_and_validate(headers=key, excluded_checks=[positive_data_acceptance] if path.endswith("/webhooks") else [])

    holds()
