"""What an error of s3fs, botocore or the server means, and what helps."""

import ssl

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from pipeline.store.faults import ANOTHER, Fault, causes, os_fault

NO_BUCKET = "NoSuchBucket"
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_TOKEN = ("its session token has expired", f"get new credentials: {_KEYS} and AWS_SESSION_TOKEN")
_UNKNOWN = ("it does not accept the credentials", f"correct {_KEYS}")
_REGION = ("the bucket lies in another region", "set AWS_REGION to its region")
_RIGHTS = (
    "it does not let these credentials in",
    f"correct {_KEYS}, or grant them the right to list, read, write and delete there",
)
_FULL = ("it has no room left", f"free space there, or {ANOTHER}")
_NO_CONDITIONS = ("it does not know conditional puts", f"{ANOTHER}, with If-None-Match on puts")
_CODES = {
    "ExpiredToken": _TOKEN,
    "ExpiredTokenException": _TOKEN,
    "TokenRefreshRequired": _TOKEN,
    "RequestExpired": _TOKEN,
    "InvalidToken": ("it does not accept the session token", "correct AWS_SESSION_TOKEN, or unset it"),
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidClientTokenId": _UNKNOWN,
    "SignatureDoesNotMatch": _UNKNOWN,
    "AuthFailure": _UNKNOWN,
    "AccessDenied": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "403": _RIGHTS,
    "Forbidden": _RIGHTS,
    "RequestTimeTooSkewed": ("this machine's clock differs from the server's", "set the clock"),
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "InvalidBucketName": ("there can be no bucket of this name", "correct --store or STRIVE_STORE"),
    "NotImplemented": _NO_CONDITIONS,
    "501": _NO_CONDITIONS,
    "QuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
    "507": _FULL,
}
_PASSING = ("SlowDown", "RequestTimeout", "RequestTimeoutException", "Throttling", "TooManyRequests")
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.NoAuthTokenError,
    boto.UnauthorizedSSOTokenError,
)
_SETTINGS = (
    "its client's settings are not right",
    "correct the AWS_* variables, or the profile in ~/.aws/config (AWS_CONFIG_FILE)",
)
_PASSING_ERRORS = (  # of botocore's own, all of whose others are of its settings
    boto.IncompleteReadError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    boto.MetadataRetrievalError,
    boto.CapacityNotAvailableError,
)
_AWAY = (boto.ConnectionError, boto.HTTPClientError, ResponseParserError, aiohttp.ClientError)


def s3_fault(error: Exception, bucket: str, endpoint: str | None) -> Fault:
    """The fault that this error of a call on the bucket shows."""
    at = endpoint or "Amazon S3"
    if _response(error):
        return _answered(error, bucket, at)
    if fault := next(filter(None, map(_of_files, causes(error))), None):
        return fault
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return Fault(
                "refused", f"the certificate of {at} is not trusted", "set AWS_CA_BUNDLE to its authority's file"
            )
        if "WRONG_VERSION_NUMBER" in str(cause) or "record layer failure" in str(cause):
            return Fault("refused", f"{at} does not speak TLS", "write http:// for https:// in AWS_ENDPOINT_URL")
        if isinstance(cause, _NO_CREDENTIALS):
            return Fault("refused", "there are no credentials for it", f"set {_KEYS}, or correct AWS_PROFILE")
        if isinstance(cause, boto.ParamValidationError):
            return Fault("refused", *_CODES["InvalidBucketName"])
        if isinstance(cause, _AWAY):
            return Fault("away", _line(cause))
        if isinstance(cause, boto.BotoCoreError) and not isinstance(cause, _PASSING_ERRORS):
            return Fault("refused", f"{_SETTINGS[0]}: {_line(cause)}", _SETTINGS[1])
    return os_fault(error)


def _of_files(cause: BaseException) -> Fault | None:
    """The fault of files that the client looks for before it asks: a token, certificates, a command."""
    if isinstance(cause, boto.SSOError | boto.TokenRetrievalError):
        return Fault("refused", f"its sign-on is not valid: {_line(cause)}", "sign in: `aws sso login`")
    no_certificates = isinstance(cause, ssl.SSLError) and "NO_CERTIFICATE" in str(cause)
    if not no_certificates and not isinstance(cause, FileNotFoundError | PermissionError | IsADirectoryError):
        return None
    what = "has no certificates" if no_certificates else f"cannot be read ({_line(cause)})"
    return Fault(
        "refused",
        f"a file that its settings name {what}",
        "correct AWS_CA_BUNDLE, AWS_WEB_IDENTITY_TOKEN_FILE or the profile that names it",
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def code_of(error: BaseException) -> str:
    """The code of the server's answer, such as NoSuchBucket; empty where there was none."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def _answered(error: Exception, bucket: str, at: str) -> Fault:
    """The fault of an answer, by its code and its HTTP status."""
    code, response = code_of(error), _response(error)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 500)
    said = " ".join(str(response.get("Error", {}).get("Message", "")).split())
    answer = f"{at} answers {status} {code}".strip() + (f", {said}" if said and said != code else "")
    if code == NO_BUCKET:
        return Fault(
            "refused",
            f"{at} has no bucket {bucket}",
            "make it with `python infra/bucket.py`, or correct --store or STRIVE_STORE",
        )
    if found := _CODES.get(code) or _CODES.get(str(status)):
        cause, remedy = found
        return Fault("refused", f"{cause} ({answer})", remedy)
    if code in _PASSING or status in (408, 429) or status >= 500:
        return Fault("away", answer)
    if status == 409:  # another write of the same object was under way
        return Fault("unclear", answer)
    return Fault("refused", answer, "`strive doctor` looks at what is needed")


def _response(error: BaseException) -> dict:
    """The server's answer, from botocore's error or that from which s3fs made its own."""
    for cause in causes(error):
        if isinstance(found := getattr(cause, "response", None), dict):
            return found
    return {}
