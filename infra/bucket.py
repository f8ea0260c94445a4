"""Make the bucket of STRIVE_STORE and let it forget uploads that were not finished. May be run again at any time.

Through botocore, with the usual AWS_* variables, AWS_ENDPOINT_URL included.
"""

import os
import sys
import time

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from botocore.session import get_session

WAIT_SECONDS = 60.0
RULE = {
    "ID": "abort-unfinished-uploads",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
}
NOT_BUILT = ("NotImplemented", "MethodNotAllowed", "XNotImplemented", "InvalidRequest", "501", "405")


def make(client, bucket: str) -> str:
    """Create the bucket unless it is there; what was done, in words."""
    place = {} if client.meta.region_name == "us-east-1" else {"LocationConstraint": client.meta.region_name}
    try:
        client.head_bucket(Bucket=bucket)
        return "was there"
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
    try:
        client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":  # another of our processes was quicker
            raise
    return "made"


def forget_unfinished(client, bucket: str) -> str:
    """Set the life cycle rule; stores without life cycles are told so and live with it."""
    try:
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [RULE]})
    except ClientError as error:
        if error.response["Error"]["Code"] not in NOT_BUILT:
            raise
        return "this store has no life cycles: unfinished uploads stay until they are aborted by hand"
    return "unfinished uploads are aborted after a day"


def prepare(url: str) -> str:
    """Both, once the store answers."""
    bucket = url.removeprefix("s3://").split("/")[0]
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
    client = get_session().create_client("s3", region_name=region, config=config)
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return f"s3://{bucket} {make(client, bucket)}; {forget_unfinished(client, bucket)}"
        except (ConnectionError, HTTPClientError):
            if time.monotonic() > until:
                raise
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 or time.monotonic() > until:
                raise
        time.sleep(1)


def main() -> str | None:
    """What went wrong, if anything."""
    url = os.environ.get("STRIVE_STORE", "")
    if not url.startswith("s3://") or not url.removeprefix("s3://").split("/")[0]:
        return f"bucket.py: STRIVE_STORE must be s3://bucket or s3://bucket/prefix, not {url!r}"
    where = os.environ.get("AWS_ENDPOINT_URL", "AWS")
    try:
        print(prepare(url))
    except (BotoCoreError, ClientError) as error:
        return f"bucket.py: {url} at {where}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
