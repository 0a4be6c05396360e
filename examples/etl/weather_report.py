"""What `remote.flow` calls: plain Python, with any library that is installed, in a process of its own."""

from statistics import linear_regression, mean

from flowmetal import activity


def in_words(months):
    """A report on monthly summaries, such as `month_summary` makes, in a few lines."""
    lines = []
    for number, month in enumerate(months, start=1):
        activity.check_cancelled()
        activity.progress(f"{number} of {len(months)} months")
        lines.append(f"{month['month']}: {month['temp_mean']:5.1f} degrees, {month['precipitation_mm']:6.1f} mm")
    slope = linear_regression(range(len(months)), [month["temp_mean"] for month in months]).slope
    wettest = max(months, key=lambda month: month["precipitation_mm"])
    lines.append(f"mean {mean(month['temp_mean'] for month in months):.1f} degrees, trend {12 * slope:+.2f} a year")
    lines.append(f"wettest month: {wettest['month']} with {wettest['precipitation_mm']:.1f} mm")
    return "\n".join(lines)
