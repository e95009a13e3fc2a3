"""Getting the nginx binary to upgrade to: uploaded, out of a package, or built from source.

It ends at `/var/lib/winch/nginx/KEY/nginx` on every host of the group, with its checksum in
`nginx.sha256` beside it, written last. Nothing that runs is touched.
"""
