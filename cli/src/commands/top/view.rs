//! Draws it.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Paragraph, Row, Table},
};

use super::model::Model;
use crate::output::table;

/// Draws the whole screen. `problem` is why the newest question has no answer; services begin at `first_row`.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, problem: Option<&str>, first_row: u16) {
    let [head, upper, lower, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [left, right] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(upper);
    let [troubles, rates] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(lower);
    frame.render_widget(Paragraph::new(heading(model)), head);
    nodes(frame, model, left);
    services(frame, model, right, first_row);
    checks(frame, model, troubles);
    counted(frame, model, rates);
    let foot_line = match problem {
        Some(why) => Line::styled(format!(" no answer: {why}"), bad()),
        None => Line::styled(" q ends, arrows move the services", Style::new().add_modifier(Modifier::DIM)),
    };
    frame.render_widget(Paragraph::new(foot_line), foot);
}

/// The same as text.
pub(super) fn text(model: &Model) -> String {
    let cells = |row: &[&str]| row.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let section = |title: &[&str], rows: Vec<Vec<String>>| {
        table(&std::iter::once(cells(title)).chain(rows).collect::<Vec<_>>())
    };
    let nodes = model.nodes.iter().map(|node| cells(&[&node.name, &node.address, node.status]));
    let services = model.services.iter().map(|service| {
        let [passing, warning, critical] =
            [service.passing, service.warning, service.critical].map(|n| n.to_string());
        cells(&[&service.name, &passing, &warning, &critical, &service.tags.join(",")])
    });
    let checks = model.troubles.iter().map(|t| cells(&[&t.node, &t.service, &t.check, &t.status, &t.output]));
    let rates = model.rates.iter().map(|rate| cells(&[&rate.name, &format!("{:.1}", rate.per_second)]));
    [
        summary(model),
        section(&["Node", "Address", "Status"], nodes.collect()),
        section(&["Service", "Passing", "Warning", "Critical", "Tags"], services.collect()),
        section(&["Node", "Service", "Check", "Status", "Output"], checks.collect()),
        section(&["Counted", "A second"], rates.collect()),
    ]
    .join("\n\n")
}

fn summary(model: &Model) -> String {
    let leader =
        if model.leader.is_empty() { "no leader".to_owned() } else { format!("leader {}", model.leader) };
    let (nodes, services, troubles) = (model.nodes.len(), model.services.len(), model.troubles.len());
    format!(
        "{}  {leader}  {nodes} nodes  {services} services  {troubles} checks not passing",
        model.datacenter
    )
}

fn heading(model: &Model) -> Line<'static> {
    let style = if model.leader.is_empty() || !model.troubles.is_empty() { bad() } else { good() };
    Line::from(vec![
        Span::styled(" ryo top ", Style::new().add_modifier(Modifier::REVERSED)),
        Span::raw(" "),
        Span::styled(summary(model), style),
    ])
}

fn nodes(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let row = |node: &super::model::Node| {
        let kind = if node.is_server { "server" } else { "agent" };
        let style = if node.status == "alive" { Style::new() } else { bad() };
        Row::new(vec![node.name.clone(), node.address.clone(), kind.into(), node.status.into()]).style(style)
    };
    let widths = [Constraint::Fill(3), Constraint::Fill(3), Constraint::Length(6), Constraint::Length(7)];
    let title = format!(" Nodes {} ", model.nodes.len());
    grid(frame, area, title, &["Node", "Address", "Kind", "Status"], model.nodes.iter().map(row), &widths);
}

fn services(frame: &mut Frame<'_>, model: &Model, area: Rect, first_row: u16) {
    let row = |service: &super::model::Service| {
        let style = match (service.critical, service.warning) {
            (1.., _) => bad(),
            (_, 1..) => Style::new().fg(Color::Yellow),
            _ => Style::new(),
        };
        let [passing, warning, critical] =
            [service.passing, service.warning, service.critical].map(|n| n.to_string());
        Row::new(vec![service.name.clone(), passing, warning, critical, service.tags.join(",")]).style(style)
    };
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Fill(2),
    ];
    let rows = model.services.iter().skip(first_row.into()).map(row);
    let title = format!(" Services {} ", model.services.len());
    grid(frame, area, title, &["Service", "Passing", "Warning", "Critical", "Tags"], rows, &widths);
}

fn checks(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let row = |t: &super::model::Trouble| {
        let cells = [&t.node, &t.service, &t.check, &t.status, &t.output].map(Clone::clone);
        Row::new(cells).style(if t.status == "critical" { bad() } else { Style::new().fg(Color::Yellow) })
    };
    let widths = [
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Length(8),
        Constraint::Fill(4),
    ];
    let title = format!(" Checks not passing {} ", model.troubles.len());
    let head = ["Node", "Service", "Check", "Status", "Output"];
    grid(frame, area, title, &head, model.troubles.iter().map(row), &widths);
}

fn counted(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let row =
        |rate: &super::model::Rate| Row::new(vec![rate.name.clone(), format!("{:.1}", rate.per_second)]);
    let widths = [Constraint::Fill(1), Constraint::Length(9)];
    grid(frame, area, " A second ".into(), &["Counted", "Rate"], model.rates.iter().map(row), &widths);
}

fn grid<'r>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    head: &[&'static str],
    rows: impl Iterator<Item = Row<'r>>,
    widths: &[Constraint],
) {
    let head = Row::new(head.to_vec()).style(Style::new().add_modifier(Modifier::BOLD));
    let shown = Table::new(rows, widths.to_vec()).header(head).block(Block::bordered().title(title));
    frame.render_widget(shown, area);
}

fn good() -> Style {
    Style::new().fg(Color::Green)
}

fn bad() -> Style {
    Style::new().fg(Color::Red)
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::{
        super::model::{Model, Node, Rate, Service, Trouble},
        draw, text,
    };

    fn fleet() -> Model {
        let service =
            |name: &str, critical| Service { name: name.into(), passing: 2, critical, ..Service::default() };
        Model {
            datacenter: "dc1".into(),
            leader: "10.0.0.1:8300".into(),
            nodes: vec![Node {
                name: "srv1".into(),
                address: "10.0.0.1".into(),
                status: "alive",
                is_server: true,
            }],
            services: vec![service("web", 1), service("api", 0)],
            troubles: vec![Trouble {
                node: "web1".into(),
                service: "web".into(),
                check: "http".into(),
                status: "critical".into(),
                output: "refused".into(),
            }],
            rates: vec![Rate { name: "consul.http".into(), per_second: 2.5 }],
        }
    }

    fn screen(model: &Model, problem: Option<&str>, first_row: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 24)).expect("a buffer");
        terminal.draw(|frame| draw(frame, model, problem, first_row)).expect("a buffer");
        let buffer = terminal.backend().buffer();
        let cells: Vec<&str> = buffer.content.iter().map(|cell| cell.symbol()).collect();
        cells.chunks(120).map(|line| line.concat().trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn the_screen_has_all_parts() {
        let shown = screen(&fleet(), None, 0);
        for part in [
            "dc1  leader 10.0.0.1:8300",
            "Nodes 1",
            "srv1",
            "Services 2",
            "web",
            "api",
            "refused",
            "2.5",
            "q ends",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn it_scrolls_and_tells_of_silence() {
        let shown = screen(&fleet(), Some("refused by 127.0.0.1"), 1);
        assert!(shown.contains("api") && shown.contains("no answer: refused by 127.0.0.1"), "{shown}");
        assert!(!shown.contains("│web "), "the first service is above the list\n{shown}");
        screen(&Model::default(), None, u16::MAX);
    }

    #[test]
    fn a_small_terminal_is_no_trouble() {
        let mut terminal = Terminal::new(TestBackend::new(3, 2)).expect("a buffer");
        terminal.draw(|frame| draw(frame, &fleet(), None, 0)).expect("a buffer");
    }

    #[test]
    fn it_can_be_plain_text() {
        let shown = text(&fleet());
        assert!(shown.starts_with(
            "dc1  leader 10.0.0.1:8300  1 nodes  2 services  1 checks not passing\n\nNode  Address"
        ));
        assert!(shown.ends_with("Counted      A second\nconsul.http  2.5"), "{shown}");
    }
}
