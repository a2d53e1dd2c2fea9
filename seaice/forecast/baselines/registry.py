"""The baselines by the names under which they are run and scored."""

from __future__ import annotations

from seaice.forecast.baselines import climatology, increments, last_days
from seaice.forecast.baselines.baseline import Baseline

BASELINES: dict[str, Baseline] = {
    "persistence": Baseline("the initial day persists", last_days.fit_persistence),
    "mean3": Baseline(
        "the mean of the last three days persists",
        last_days.fit_mean3,
        history=last_days.MEAN3_DAYS,
        advice="mean3 is worse than persistence at leads of one to four days, because ice moves more "
        "from day to day than its retrieval scatters; it is no bar for a network",
    ),
    "damped": Baseline(
        "the initial day is drawn to the mean of the last ten days, more so at longer leads",
        increments.fit_damped,
        history=increments.MEAN_DAYS,
    ),
    "rolling": Baseline(
        "ten coefficients of a stencil add increments to the initial day, fitted again for each on the "
        "targets of the last 45 days",
        increments.fit_rolling,
        history=increments.STENCIL_DAYS,
    ),
    "lagged": Baseline(
        "each of the last seven days persists, as an ensemble",
        last_days.fit_lagged,
        history=last_days.LAGGED_MEMBERS,
        members=last_days.LAGGED_MEMBERS,
    ),
    "climatology": Baseline(
        "the mean of the training years within 7 days of the calendar day, and how often ice was there",
        climatology.fit_climatology,
        years=10,
        has_probability=True,
    ),
    "anomaly": Baseline(
        "the departure of the initial day from climatology persists",
        climatology.fit_anomaly,
        years=10,
    ),
    "damped_anomaly": Baseline(
        "the departure of the initial day from climatology fades as it did in the training years",
        climatology.fit_damped_anomaly,
        years=15,
    ),
    "trend": Baseline(
        "a straight line over the training years, by cell and calendar day",
        climatology.fit_trend,
        years=20,
    ),
}
