"""How Hypothesis runs here: a busy machine is no failure."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("ebpf", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ebpf")
