"""Uses a hub with the official client and prints what it saw as JSON.

Arguments: repository, revision, target folder, gated repository.
"""
import json
import sys

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

repo, revision, target, gated = sys.argv[1:]
api = HfApi()


def refusal(action):
    try:
        action()
    except HfHubHTTPError as e:
        # The class of the 401 for an absent repository depends on https in the
        # URL, so only the others tell more than the status.
        return f"{e.response.status_code} {e.response.headers.get('X-Error-Code')}"
    return "none"


snapshot_download(repo, revision=revision, local_dir=target)
info = api.model_info(repo, revision=revision, files_metadata=True)
json.dump({
    "branches": sorted(b.name for b in api.list_repo_refs(repo).branches),
    "commit": info.sha,
    "sizes": {s.rfilename: s.size for s in info.siblings},
    "sha256": {s.rfilename: s.lfs.sha256 for s in info.siblings if s.lfs},
    "tree": sorted(f.path for f in api.list_repo_tree(repo, revision=revision, recursive=True)),
    "paths": [f.path for f in api.get_paths_info(repo, ["config.json", "absent"], revision=revision)],
    "gated": refusal(lambda: snapshot_download(gated, local_dir=target + "-gated")),
    "absent": refusal(lambda: api.model_info("no/such")),
    "revision": refusal(lambda: api.model_info(repo, revision="nope")),
}, sys.stdout)
