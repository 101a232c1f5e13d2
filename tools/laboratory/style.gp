# SPDX-License-Identifier: MIT
#
# style.gp - how does every plot of the laboratory look?
#
# 700 units wide, readable at that width; the frame is two axes and a faint grid; the curves have
# their names beside their ends (plots.py places them), so there is no key. plots.py gives the
# colours; page.py replaces them by the page's own, which follow the reader's light or dark.
set terminal svg size 700,400 dynamic font 'sans-serif,14' linewidth 1 background '#ffffff'
set encoding utf8
set minussign
unset key
unset title
set border 3 linecolor rgb '#5c6670' linewidth 1
set tics nomirror out scale 0.6 textcolor rgb '#3c444c'
set mxtics default
set grid xtics ytics linetype 1 linewidth 0.6 linecolor rgb '#dfe3e7'
set lmargin at screen 0.125
set rmargin at screen 0.775
set tmargin at screen 0.835
set bmargin at screen 0.155
set xlabel offset 0,0.3 textcolor rgb '#3c444c'
set pointsize 0.7
set boxwidth 0.9 relative
set style fill solid 1.0 noborder
