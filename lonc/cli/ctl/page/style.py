"""Owns how the page looks: one style sheet, in the page itself, for light and dark, wide and narrow.

Every colour of text has a contrast of at least 4.5 to 1 on its ground, in both; a test computes that from here.
"""

from __future__ import annotations

# name: light, dark
COLOURS = {
    "ground": ("#f3f5f8", "#0d1117"),
    "card": ("#ffffff", "#161b22"),
    "line": ("#d4dae1", "#30363d"),
    "text": ("#1b1f24", "#e6edf3"),
    "dim": ("#57606a", "#9aa4af"),
    "accent": ("#0550ae", "#79b8ff"),
    "second": ("#8a4b08", "#e0a458"),
    "up": ("#187a34", "#4cc35f"),
    "resting": ("#57606a", "#9aa4af"),
    "trying": ("#8a5a00", "#e3b341"),
    "paused": ("#6639ba", "#c297ff"),
    "down": ("#c21f2c", "#ff8078"),
    "given-up": ("#a40e26", "#ff6a69"),
    "unknown": ("#5b4b00", "#d8c46a"),
}

_RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:78rem;padding:1.2rem 1.2rem 3rem;background:var(--ground);
color:var(--text);font:16px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums}
a{color:var(--accent)}
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .6rem}
p{margin:.3rem 0}
header{display:flex;flex-wrap:wrap;gap:.2rem 1rem;align-items:baseline;margin-bottom:1rem}
.dim{color:var(--dim)}
.small{font-size:.85rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.7rem;padding:1rem;margin-bottom:1rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:0 0 1rem;padding:0}
.tiles>div{background:var(--card);border:1px solid var(--line);border-radius:.7rem;padding:.7rem .9rem}
.tiles dt{color:var(--dim);font-size:.85rem}
.tiles dd{margin:0;font-size:1.6rem;font-weight:600;line-height:1.2}
.tiles dd+dd{font-size:.85rem;font-weight:400;color:var(--dim);min-height:1.2em}
.wrong{border-left:.35rem solid var(--down)}
.notice{border-left:.35rem solid var(--unknown)}
.wrong ul,.notice ul{margin:0;padding:0;list-style:none}
.wrong ul,.notice ul{columns:26rem;column-gap:2rem}
.wrong li,.notice li{padding:.2rem 0;overflow-wrap:anywhere;break-inside:avoid}
.pair{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:1rem;margin-bottom:1rem}
.pair .card{margin:0}
.none{position:absolute}
.mark{width:1em;height:1em;vertical-align:-.12em;margin-right:.4em;overflow:visible}
use{fill:currentColor}
#s-given-up,#s-resting{fill:none;stroke:currentColor;stroke-width:2.6;stroke-linecap:round}
.net{display:block;overflow:visible;width:100%;max-width:42rem;height:auto;margin:auto}
.net text{fill:var(--text);font-size:17px}
.net a{text-decoration:none}
.net a:hover text{text-decoration:underline}
.net .own rect{fill:var(--accent)}
.net .own text{fill:var(--card);font-weight:600;font-size:18px}
.link{stroke:currentColor;stroke-width:1.6;opacity:.55;fill:none}
.link.g-down,.link.g-given-up,.link.g-unknown{stroke-dasharray:3 7}
.link.g-trying,.link.g-paused,.link.g-resting{stroke-dasharray:9 6}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.6rem 0 0;padding:0;list-style:none;font-size:.9rem}
.spark{display:block;width:100%;height:1.7rem;overflow:visible}
.big .spark{height:13rem;border-bottom:1px solid var(--line)}
.c-area{fill:var(--accent);opacity:.13}
.next{margin-top:1.2rem}
.busy th,.busy td{padding-left:0}
.axis{display:flex;justify-content:space-between;color:var(--dim);font-size:.85rem}
.spark :not(.c-area){fill:none;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round;
vector-effect:non-scaling-stroke}
.c-rate,.c-p50{stroke:var(--accent)}
.c-p99{stroke:var(--second)}
.k50{color:var(--accent)}
.k99{color:var(--second)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.45rem .6rem;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--dim);font-size:.85rem;font-weight:600}
tbody th{font-weight:600;overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap}
tbody tr:target{outline:2px solid var(--accent);outline-offset:-2px}
.peers td.s{width:15%;min-width:7.5rem}
.peers .why{font-size:.85rem;color:var(--dim);overflow-wrap:anywhere;max-width:24rem}
@media (max-width:46rem){
body{padding:.8rem .7rem 2rem}
.pair{grid-template-columns:minmax(0,1fr)}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:.6rem}
.tiles div:first-child{grid-column:1/-1}
.tiles dd{font-size:1.35rem}
.net.named text{font-size:22px}
.cards thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
table.cards,.cards tbody{display:block}
.cards tbody tr{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:.45rem .8rem;padding:.8rem 0;
border-top:1px solid var(--line)}
.cards tbody tr:first-child{border-top:0}
.cards tbody th,.cards tbody td{display:block;padding:0;border:0;text-align:left;white-space:normal;
grid-column:span 3}
.cards tbody td.n{grid-column:span 2}
.cards tbody th{font-size:1.1rem}
.queue tbody th{grid-column:1/-1}
[data-l]::before{content:attr(data-l);display:block;color:var(--dim);font-size:.8rem}
.peers td.s{width:auto;min-width:0}
.cards tbody .e{display:none}
}
"""


def style_sheet() -> str:
    """Return the style sheet, without needless line ends."""
    light, dark = (
        "".join(f"--{name}:{pair[i]};" for name, pair in COLOURS.items()) for i in range(2)
    )  # fmt: skip
    groups = "".join(f".g-{name}{{color:var(--{name})}}" for name in list(COLOURS)[7:])
    colours = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return colours + _RULES.replace("\n", "") + groups
