"""`reader.py NAME` makes a user of STRIVE_STORE who may read what is published and nothing else, and prints the keys.

With the rights of readers.json: on AWS, or another store that has IAM, as the user's own policy; on the gateway of
docker-compose.yml as a policy of the bucket, which keeps users but no policies of theirs. The AWS_*
variables hold keys that may make users. May be run for any number of names; a name that exists is refused.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.session import get_session

POLICY = Path(__file__).parent / "readers.json"


def policy(store: str) -> dict[str, Any]:
    """readers.json for s3://bucket or s3://bucket/prefix."""
    bucket, _, prefix = store.removeprefix("s3://").strip("/").partition("/")
    below = f"{prefix}/" if prefix else ""
    text = POLICY.read_text().replace("BUCKET/", f"BUCKET/{below}").replace('"studies/*"', f'"{below}studies/*"')
    return json.loads(text.replace("BUCKET", bucket))


def on_gateway(name: str, endpoint: str) -> tuple[str, str] | None:
    """A user of the gateway: access key and secret key; None where no such gateway answers. ClientError if refused."""
    session = get_session()
    secret = os.urandom(24).hex()
    account = f"<Account><Access>{escape(name)}</Access><Secret>{secret}</Secret><Role>user</Role></Account>"
    request = AWSRequest("PATCH", f"{endpoint.rstrip('/')}/create-user", data=account.encode())
    S3SigV4Auth(session.get_credentials(), "s3", region()).add_auth(request)
    answer = URLLib3Session(verify=session.get_config_variable("ca_bundle") or True).send(request.prepare())
    if answer.status_code == 201:
        return name, secret
    if answer.status_code in (401, 403):
        why = {"Code": "AccessDenied", "Message": "these keys may make no users"}
        raise ClientError({"Error": why}, "create-user")
    if answer.status_code == 409:
        raise ClientError({"Error": {"Code": "UserExists", "Message": f"{name} exists"}}, "create-user")
    return None


def share(store: str, name: str) -> None:
    """Let the bucket's policy name this user beside those whom it names already."""
    s3 = get_session().create_client("s3", region_name=region())
    wanted = policy(store)
    bucket = store.removeprefix("s3://").split("/")[0]
    try:
        now = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        now = []
    names = {statement["Sid"] for statement in wanted["Statement"]}
    before = {who for one in now if one.get("Sid") in names for who in one["Principal"]}
    for statement in wanted["Statement"]:
        statement["Principal"] = sorted(before | {name})
    wanted["Statement"] += [one for one in now if one.get("Sid") not in names]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(wanted))


def by_iam(store: str, name: str) -> tuple[str, str]:
    """A user with a policy of its own, on AWS or what speaks its language: access key and secret key."""
    iam = get_session().create_client("iam", region_name=region())
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="strive-readers", PolicyDocument=json.dumps(policy(store)))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def make(store: str, name: str) -> tuple[str, str]:
    """The new reader's access key and secret key."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    made = on_gateway(name, endpoint) if endpoint else None
    if made:
        share(store, name)
    return made or by_iam(store, name)


def main(words: list[str]) -> str | None:
    """What went wrong, if anything."""
    store = os.environ.get("STRIVE_STORE", "")
    if len(words) != 1 or not words[0].replace("-", "").isalnum():
        return "reader.py: give the reader's name, of letters, digits and hyphens"
    if not store.startswith("s3://") or not store.removeprefix("s3://").split("/")[0]:
        return f"reader.py: STRIVE_STORE must be s3://bucket or s3://bucket/prefix, not {store!r}"
    try:
        access, secret = make(store, words[0])
    except (BotoCoreError, ClientError) as error:
        return f"reader.py: {store}: {error}"
    print(f"export STRIVE_STORE={store} AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret}")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
