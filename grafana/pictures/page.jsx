// One board, drawn with Grafana's components from what Prometheus answered. It is not Grafana's dashboard runtime:
// variables are filled in and transformations are made before; traces, alert lists and state timelines are named only.
import { createTheme, FieldType, getDisplayProcessor, renderMarkdown, toDataFrame, dateTime } from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { ThemeContext } from '@grafana/data';
import 'uplot/dist/uPlot.min.css';

const theme = createTheme({ colors: { mode: 'dark' } });
const UNIT = 36; // pixels a row of the grid
const GAP = 8;
const custom = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', showPoints: 'never',
  pointSize: 5, spanNulls: true, axisPlacement: 'auto', axisColorMode: 'text', scaleDistribution: { type: 'linear' },
  stacking: { mode: 'none', group: 'A' }, hideFrom: { legend: false, tooltip: false, viz: false },
  thresholdsStyle: { mode: 'off' }, barAlignment: 0, axisLabel: '',
};

function finished(field, index, name) {
  field.state = { seriesIndex: index, displayName: name };
  field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
  return field;
}

function configOf(panel, series) {
  const defaults = panel.config;
  const merged = { ...defaults, ...series.config, displayName: series.name };
  merged.custom = { ...custom, ...defaults.custom, ...series.custom };
  merged.color ??= { mode: 'palette-classic' };
  delete merged.links;
  return based(merged);
}

function based(config) {
  if (!config.thresholds) return config;
  // Grafana reads the base step's null as minus infinity
  const [base, ...steps] = config.thresholds.steps;
  return { ...config, thresholds: { ...config.thresholds, steps: [{ ...base, value: -Infinity }, ...steps] } };
}

function Lines({ panel, width, height }) {
  const frames = panel.series.map((series, index) =>
    toDataFrame({
      refId: 'A',
      fields: [
        { name: 'Time', type: FieldType.time, values: series.times.map((t) => t * 1000), config: {} },
        { name: series.name, type: FieldType.number, values: series.values, config: configOf(panel, series) },
      ],
    })
  );
  frames.forEach((frame, index) => {
    finished(frame.fields[0], 0, 'Time');
    finished(frame.fields[1], index, panel.series[index].name);
  });
  const range = { from: dateTime(panel.from * 1000), to: dateTime(panel.to * 1000) };
  const legend = {
    showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [], isVisible: true, asTable: false,
  };
  return (
    <TimeSeries frames={frames} timeRange={{ ...range, raw: range }} timeZone="utc" width={width} height={height}
      legend={legend} structureRev={1} options={{}} replaceVariables={(x) => x} theme={theme} />
  );
}

function shownValue(panel, series, index) {
  const values = series.values.filter((value) => value !== null);
  const field = finished({ name: series.name, type: FieldType.number, values, config: configOf(panel, series) }, index, series.name);
  return { field, value: field.display(values.at(-1)) };
}

function Numbers({ panel, width, height }) {
  const each = width / panel.series.length;
  const shown = panel.series.map((series, index) => shownValue(panel, series, index).value);
  const longest = (texts) => texts.reduce((one, other) => (other.length > one.length ? other : one), '');
  const same = {
    title: longest(panel.series.map(({ name }) => name)),
    text: longest(shown.map(({ prefix = '', text, suffix = '' }) => `${prefix}${text}${suffix}`)),
  };
  return (
    <div style={{ display: 'flex' }}>
      {panel.series.map((series, index) => {
        const value = shown[index];
        const text = panel.single ? value : { ...value, title: series.name };
        return <BigValue key={index} width={each} height={height} value={text} theme={theme} colorMode="value" graphMode="none"
          textMode={panel.single ? 'value' : 'value_and_name'} justifyMode="auto"
          alignmentFactors={panel.single ? undefined : same} />;
      })}
    </div>
  );
}

function Bars({ panel, width, height }) {
  const rows = panel.series.slice(0, 12);
  const each = Math.max(18, Math.min(40, height / rows.length - 4));
  const all = rows.map((series) => series.values.at(-1));
  return (
    <div>
      {rows.map((series, index) => {
        const { field, value } = shownValue(panel, series, index);
        const bounds = { ...field, config: { ...field.config, min: 0, max: panel.config.unit === 'percentunit' ? 1 : Math.max(...all) } };
        return <BarGauge key={index} width={width} height={each} orientation="horizontal" displayMode="basic" theme={theme} namePlacement={panel.names}
          field={bounds.config} display={field.display} value={{ ...value, title: series.name }} />;
      })}
    </div>
  );
}

function cellConfig(defaults, { 'custom.cellOptions': cellOptions, 'custom.width': width, ...own }) {
  return based({ ...defaults, ...own, links: undefined, custom: { cellOptions, width } });
}

function Cells({ panel, width, height }) {
  const columns = panel.columns.map((column) => ({
    name: column.name,
    type: column.number ? FieldType.number : FieldType.string,
    values: column.values,
    config: column.number ? cellConfig(panel.config, column.config) : { custom: { cellOptions: { type: 'auto' } } },
  }));
  const frame = toDataFrame({ fields: columns });
  frame.fields.forEach((field, index) => finished(field, index, field.name));
  return <Table data={frame} width={width} height={height} columnMinWidth={60} />;
}

const VIEWS = { lines: Lines, numbers: Numbers, bars: Bars, cells: Cells };

function Body({ panel, width, height }) {
  if (panel.content) {
    return <div className="markdown-html" style={{ overflow: 'hidden' }} dangerouslySetInnerHTML={{ __html: renderMarkdown(panel.content) }} />;
  }
  const empty = !panel.series?.length && !panel.columns?.length;
  const View = VIEWS[panel.view];
  if (!View || empty) {
    return <div style={{ height, display: 'grid', placeItems: 'center', color: theme.colors.text.secondary }}>{panel.instead}</div>;
  }
  return <View panel={panel} width={width} height={height} />;
}

function place(panel, width) {
  const { x, y, w, h } = panel.grid;
  const column = (width + GAP) / 24;
  return { left: x * column, top: y * (UNIT + GAP), width: w * column - GAP, height: h * (UNIT + GAP) - GAP };
}

function Board({ board, width }) {
  const bottom = Math.max(...board.panels.map(({ grid }) => grid.y + grid.h));
  return (
    <div style={{ position: 'relative', width, height: bottom * (UNIT + GAP), fontFamily: theme.typography.fontFamily }}>
      {board.panels.map((panel, index) => {
        const box = place(panel, width);
        const style = { position: 'absolute', left: box.left, top: box.top, width: box.width, height: box.height };
        if (panel.row) {
          return <h4 key={index} style={{ ...style, margin: 0, lineHeight: `${box.height}px` }}>▾ {panel.title}</h4>;
        }
        return (
          <div key={index} style={{ ...style, display: 'flex', flexDirection: 'column' }}>
            <PanelChrome width={box.width} height={box.height} title={panel.title} hoverHeader={false} padding="md">
              {(inner, height) => <Body panel={panel} width={inner} height={height} />}
            </PanelChrome>
          </div>
        );
      })}
    </div>
  );
}

function App({ board }) {
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div id="board" style={{ padding: 16, background: theme.colors.background.canvas, color: theme.colors.text.primary, width: 1632 }}>
        <h2 style={{ margin: '0 0 4px' }}>{board.title}</h2>
        <p style={{ margin: '0 0 12px', color: theme.colors.text.secondary }}>{board.about}</p>
        <Board board={board} width={1600} />
      </div>
    </ThemeContext.Provider>
  );
}

createRoot(document.getElementById('root')).render(<App board={window.board} />);
