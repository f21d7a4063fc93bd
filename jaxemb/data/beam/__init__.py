"""A preparation as an Apache Beam pipeline: the shards and manifest of `jaxemb.data.preparing`, on many machines."""
