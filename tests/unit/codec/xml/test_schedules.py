"""Run times, schedules and holidays from XML (schedules.md 2 to 6, 9, 10)."""

import pytest
from lxml import etree

from engine.codec.xml.schedules import (
    NESTED_INCLUDES_MAX,
    read_holidays,
    read_run_time,
    read_schedule,
    read_scheduler_holidays,
)
from engine.kernel.calendar import (
    DatePeriods,
    DayPeriods,
    Holidays,
    LocalDate,
    LocalTime,
    Month,
    MonthWeekday,
    Period,
    RunTime,
    Schedule,
    WhenHoliday,
)
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import seconds

PATH = SchedulePath("/folder/plan")


class Reports(list[str]):
    """Collects what a reader reports: the element's name and the text."""

    def __call__(self, element: etree._Element, text: str) -> None:
        self.append(f"<{element.tag}> {text}")


def no_include(element: etree._Element) -> etree._Element | None:
    raise AssertionError("nothing is included here")


def read(xml: str, folder: str = "/folder") -> RunTime:
    reports = Reports()
    run_time = read_run_time(etree.fromstring(xml), reports, include=no_include, folder=folder)
    assert reports == []
    return run_time


def reported(xml: str) -> list[str]:
    reports = Reports()
    read_run_time(etree.fromstring(xml), reports, include=no_include)
    return reports


def holidays_with(xml: str, documents: dict[str, str]) -> tuple[Holidays, list[str]]:
    """Read `<holidays>`; an include finds its document by the name in `live_file`."""
    reports = Reports()

    def include(element: etree._Element) -> etree._Element | None:
        text = documents.get(str(element.get("live_file")))
        return None if text is None else etree.fromstring(text)

    return read_holidays(etree.fromstring(xml), reports, include=include), reports


def test_an_empty_run_time_says_nothing() -> None:
    assert read("<run_time/>") == RunTime()


def test_attributes_of_the_run_time_are_a_period() -> None:
    xml = '<run_time begin="8:00" end="24:00" repeat="00:10" let_run="yes"/>'
    period = Period(begin=28_800, end=86_400, repeat=seconds(600), let_run=True)
    assert read(xml) == RunTime(periods=(period,), let_run=True)


def test_periods_inherit_repeat_let_run_and_when_holiday_but_no_begin() -> None:
    run_time = read(
        '<run_time begin="8:00" repeat="60" let_run="1" when_holiday="ignore_holiday">'
        '<period end="06:30:15"/><period let_run="no" when_holiday="suppress" repeat="0"/></run_time>'
    )
    assert run_time.periods == (
        Period(
            end=23_415,
            repeat=seconds(60),
            let_run=True,
            when_holiday=WhenHoliday.IGNORE_HOLIDAY,
        ),
        Period(),
    )


def test_absolute_repeat_switches_an_inherited_repeat_off() -> None:
    run_time = read('<run_time repeat="60"><period absolute_repeat="0:30"/></run_time>')
    assert run_time.periods == (Period(absolute_repeat=seconds(1800)),)


def test_a_single_start_of_the_run_time_makes_its_periods_single_starts() -> None:
    run_time = read('<run_time single_start="10:00"><period begin="8:00" end="9:00"/></run_time>')
    assert run_time.periods == (Period(begin=28_800, end=32_400, single_start=28_800),)


def test_months_inherit_nothing() -> None:
    run_time = read(
        '<run_time let_run="yes" when_holiday="ignore_holiday">'
        '<month month="february 4"><period begin="8:00"/><ultimos><day day="0 1"/></ultimos></month>'
        "</run_time>"
    )
    assert run_time.months == (
        Month(months=(2, 4), periods=(Period(begin=28_800),), ultimos=(DayPeriods(days=(0, 1)),)),
    )


def test_days_are_read_by_number_and_name() -> None:
    run_time = read(
        "<run_time>"
        '<date date="2030-01-05" calendar="/work"/>'
        '<weekdays><day day="0 7 Monday di sonnabend"/></weekdays>'
        '<monthdays><day day="1 31"/><weekday day="fri" which="-1"/></monthdays>'
        "</run_time>"
    )
    assert run_time.dates == (DatePeriods(date=LocalDate("2030-01-05")),)
    assert run_time.weekdays == (DayPeriods(days=(0, 0, 1, 2, 6)),)
    assert run_time.monthdays == (DayPeriods(days=(1, 31)),)
    assert run_time.month_weekdays == (MonthWeekday(weekdays=(5,), which=-1),)


@pytest.mark.parametrize(
    "text", ["2030-01-05", "05.01.2030", "5.1.30", "01/05/2030", "1/5/30", "20300105"]
)
def test_dates_are_read_in_all_forms(text: str) -> None:
    run_time = read(f'<run_time><date date="{text}"/></run_time>')
    assert run_time.dates == (DatePeriods(date=LocalDate("2030-01-05")),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-05 9:30", "2030-01-05T09:30:00"),
        ("2030-01-05T09:30:15", "2030-01-05T09:30:15"),
        ("2030-12-31 24:00", "2031-01-01T00:00:00"),
    ],
)
def test_times_of_at_are_read_in_all_forms(text: str, expected: str) -> None:
    assert read(f'<run_time><at at="{text}"/></run_time>').at == (LocalTime(expected),)


def test_at_now_is_another_way_to_say_once() -> None:
    assert read('<run_time><at at="now"/></run_time>') == RunTime(once=True)
    assert read('<run_time once="yes"/>') == RunTime(once=True)


def test_a_reference_leaves_only_the_zone() -> None:
    xml = '<run_time schedule="../plans/./daily" time_zone="Asia/Tokyo" once="yes"><period/></run_time>'
    assert read(xml, folder="/a/b") == RunTime(
        schedule=SchedulePath("/a/plans/daily"), time_zone="Asia/Tokyo"
    )
    assert read('<run_time schedule="/daily"/>') == RunTime(schedule=SchedulePath("/daily"))


def test_calendars_of_the_web_interface_and_foreign_elements_are_left_alone() -> None:
    xml = (
        '<run_time xmlns:x="urn:x" x:note="1"><!-- text --><period/><x:y/>'
        '<calendars>{"calendars": []}</calendars></run_time>'
    )
    assert read(xml) == RunTime(periods=(Period(),))


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ('<period begin="9:00" end="8:00"/>', "<period> SCHEDULER-104 The period ends before"),
        ('<period end="24:01"/>', "<period> SCHEDULER-104 end: '24:01' is later than 24:00"),
        ('<period begin="8"/>', "<period> begin: '8' is not a time of day"),
        ('<period begin="8:75"/>', "<period> begin: '8:75' is not a time of day"),
        ('<period repeat="never"/>', "<period> repeat: 'never' is not a duration"),
        ('<period repeat="-5"/>', "<period> repeat: '-5' is not a duration"),
        (
            '<period absolute_repeat="0"/>',
            "<period> SCHEDULER-441 absolute_repeat: absolute_repeat",
        ),
        ('<period when_holiday="no"/>', "<period> when_holiday: 'no' is not one of suppress"),
        ('<period let_run="maybe"/>', "<period> let_run: 'maybe' is neither"),
        ('<period start="8:00"/>', "<period> <period> has no attribute 'start'"),
        ("<at/>", "<at> <at> needs the attribute 'at'"),
        ('<at at="tomorrow"/>', "<at> at: 'tomorrow' is not a date with a time"),
        ('<at at="2030-02-30 10:00"/>', "<at> at: '2030-02-30' is not a date"),
        ('<date date="2030-01-01 10:00"/>', "<date> SCHEDULER-208 date:"),
        ('<date date="1.13.2030"/>', "<date> date: '1.13.2030' is not a date"),
        ('<weekdays><day day="8"/></weekdays>', "<day> SCHEDULER-445 day: '8' is not a week day"),
        (
            '<monthdays><day day="0"/></monthdays>',
            "<day> SCHEDULER-221 day: '0' is not a day from 1",
        ),
        ('<ultimos><day day="31"/></ultimos>', "<day> SCHEDULER-221 day: '31' is not a day from 0"),
        ('<monthdays><day day=" "/></monthdays>', "<day> day: the list is empty"),
        ('<month month="13"/>', "<month> SCHEDULER-221 month: '13' is not a month"),
        (
            '<month month="1"/><month month="2 january"/>',
            "<month> SCHEDULER-443 The month 1 is named",
        ),
        ("<month/>", "<month> <month> needs the attribute 'month'"),
        (
            '<monthdays><weekday day="1" which="6"/></monthdays>',
            "<weekday> which: '6' is not one of",
        ),
        (
            '<monthdays><weekday day="1 2" which="1"/><weekday day="2" which="1"/></monthdays>',
            "<weekday> SCHEDULER-446 The week day with which=1 is named twice",
        ),
        ("<periods/>", "<periods> <periods> is not possible in <run_time>"),
        ("<holidays><day/></holidays>", "<day> SCHEDULER-319 <day> is not possible in <holidays>"),
        ('<at at="now"/><period/>', "<period> <period> has to stand before <at>"),
        ("<weekdays/><weekdays/>", "<weekdays> <weekdays> is possible only once in <run_time>"),
        (
            '<holidays/><holiday date="2030-01-01"/>',
            "<run_time> Either <holidays> or <holiday> is possible, not both",
        ),
    ],
)
def test_a_problem_is_reported_where_it_is(xml: str, expected: str) -> None:
    reports = reported(f"<run_time>{xml}</run_time>")
    assert len(reports) == 1
    assert reports[0].startswith(expected)


def test_a_wrong_attribute_of_the_run_time_is_reported_once() -> None:
    reports = reported('<run_time repeat="often" begin="8:00"/>')
    assert reports == [
        "<run_time> repeat: 'often' is not a duration; write seconds, HH:MM or HH:MM:SS"
    ]


def test_all_problems_are_reported_at_once() -> None:
    xml = '<run_time><period begin="x"/><date date="y"/><weekdays><day day="z"/></weekdays></run_time>'
    assert len(reported(xml)) == 3


def test_an_unknown_zone_is_reported() -> None:
    assert reported('<run_time time_zone="Mars/Base"/>') == [
        "<run_time> time_zone: there is no time zone 'Mars/Base'"
    ]
    assert reported('<run_time time_zone="../../etc/passwd"/>') == [
        "<run_time> time_zone: there is no time zone '../../etc/passwd'"
    ]


def test_a_path_out_of_the_root_folder_is_reported() -> None:
    assert reported('<run_time schedule="../x"/>')[0].startswith(
        "<run_time> SCHEDULER-461 schedule"
    )


def test_a_start_time_function_is_told_to_be_impossible() -> None:
    reports = reported('<run_time start_time_function="next_start"/>')
    assert len(reports) == 1
    assert "functions that compute start times need a script language" in reports[0]


def test_a_schedule_keeps_title_substitute_and_validity() -> None:
    reports = Reports()
    schedule = read_schedule(
        etree.fromstring(
            '<schedule title="Inventory" substitute="daily" valid_from="2030-01-01 00:00" '
            'valid_to="2030-01-04 24:00:00"><period single_start="9:00"/></schedule>'
        ),
        PATH,
        reports,
        include=no_include,
    )
    assert reports == []
    assert schedule == Schedule(
        path=PATH,
        title="Inventory",
        substitute=SchedulePath("/folder/daily"),
        valid_from=LocalTime("2030-01-01T00:00:00"),
        valid_to=LocalTime("2030-01-05T00:00:00"),
        run_time=RunTime(periods=(Period(single_start=32_400),)),
    )


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ('valid_from="2030-01-01 00:00"', "SCHEDULER-467"),
        ('substitute="plan"', "SCHEDULER-486"),
        (
            'substitute="x" valid_from="2030-01-02 00:00" valid_to="2030-01-01 24:00"',
            "SCHEDULER-464",
        ),
        ('name="plan" time_zone="UTC"', "A schedule with a name cannot have a time_zone"),
        (
            'substitute="x" valid_to="2030-01-02"',
            "valid_to: '2030-01-02' is not a date with a time",
        ),
    ],
)
def test_an_impossible_schedule_is_reported(attributes: str, code: str) -> None:
    reports = Reports()
    element = etree.fromstring(f"<schedule {attributes}/>")
    read_schedule(element, PATH, reports, include=no_include)
    assert len(reports) == 1
    assert code in reports[0]


def test_holidays_are_read_from_all_their_elements() -> None:
    run_time = read(
        '<run_time><holidays><weekdays><day day="6 7"/></weekdays>'
        '<holiday date="2030-01-01"/><holiday date="1.5.2030"/></holidays></run_time>'
    )
    assert run_time.holidays == Holidays(
        dates=(LocalDate("2030-01-01"), LocalDate("2030-05-01")), weekdays=(6, 0)
    )


def test_bare_holidays_add_to_the_inherited_ones() -> None:
    run_time = read('<run_time><holiday date="2030-01-01"/></run_time>')
    assert run_time.holidays == Holidays(dates=(LocalDate("2030-01-01"),), adds=True)


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<config><jobs/></config>", None),
        (
            '<config><holidays><holiday date="2030-01-01"/></holidays></config>',
            Holidays(dates=(LocalDate("2030-01-01"),)),
        ),
        (
            '<config><holiday date="2030-01-01"/></config>',
            Holidays(dates=(LocalDate("2030-01-01"),), adds=True),
        ),
    ],
)
def test_the_scheduler_s_holidays_are_read(xml: str, expected: Holidays | None) -> None:
    reports = Reports()
    found = read_scheduler_holidays(etree.fromstring(xml), reports, include=no_include)
    assert found == expected
    assert reports == []


def test_included_holidays_are_added() -> None:
    found, reports = holidays_with(
        '<holidays><include live_file="a.xml"/><holiday date="2030-01-01"/></holidays>',
        {
            "a.xml": '<holidays><holiday date="2030-01-02"/><include live_file="b.xml"/></holidays>',
            "b.xml": '<holidays><weekdays><day day="0"/></weekdays></holidays>',
        },
    )
    assert reports == []
    assert sorted(found.dates) == ["2030-01-01", "2030-01-02"]
    assert found.weekdays == (0,)


def nested(depth: int) -> dict[str, str]:
    return {
        str(level): f'<holidays><include live_file="{level + 1}"/></holidays>'
        for level in range(1, depth)
    } | {str(depth): "<holidays/>"}


def test_includes_may_be_nested_up_to_the_limit() -> None:
    root = '<holidays><include live_file="1"/></holidays>'
    assert holidays_with(root, nested(NESTED_INCLUDES_MAX))[1] == []
    reports = holidays_with(root, nested(NESTED_INCLUDES_MAX + 1))[1]
    assert len(reports) == 1
    assert "SCHEDULER-390" in reports[0]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("<run_time/>", "SCHEDULER-319 The included document has the root <run_time>"),
        ("<holidays><x/></holidays>", "SCHEDULER-399 In the included document: SCHEDULER-319 <x>"),
        (
            '<holidays><holiday date="x"/></holidays>',
            "SCHEDULER-399 In the included document: date",
        ),
    ],
)
def test_problems_of_an_included_document_are_reported_at_the_include(
    document: str, code: str
) -> None:
    reports = holidays_with('<holidays><include live_file="a"/></holidays>', {"a": document})[1]
    assert len(reports) == 1
    assert reports[0].startswith(f"<include> {code}")


def test_an_include_that_cannot_be_read_is_left_to_who_reads_it() -> None:
    found, reports = holidays_with('<holidays><include live_file="gone"/></holidays>', {})
    assert found == Holidays()
    assert reports == []


@pytest.mark.parametrize(
    "value", [" ", "\t", "\u0663:\u0660\u0660", "\u00b2", "9" * 400, "1e9", "-0", "0x1", "nan"]
)
@pytest.mark.parametrize("name", ["begin", "single_start", "repeat", "when_holiday", "once"])
def test_an_odd_value_is_a_problem_and_no_fault(name: str, value: str) -> None:
    reports = Reports()
    element = etree.Element("run_time")
    element.set(name, value)
    read_run_time(element, reports, include=no_include)
    assert len(reports) == 1
