"""Make a bucket where there is none: `python make_bucket.py NAME`. Waits a minute at most for the object store to answer."""

from __future__ import annotations

import os
import sys
import time

from botocore import exceptions
from botocore.session import get_session

THERE = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}
PATIENCE = 60  # seconds


def main(name: str) -> None:
    """Make it; end with the error of the store where that is impossible."""
    client = get_session().create_client("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"))
    given_up = time.monotonic() + PATIENCE
    while True:
        try:
            client.create_bucket(Bucket=name)
            return
        except exceptions.ClientError as error:
            if error.response["Error"]["Code"] in THERE:
                return
            raise
        except (exceptions.ConnectionError, exceptions.HTTPClientError):
            if time.monotonic() > given_up:
                raise
            time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
