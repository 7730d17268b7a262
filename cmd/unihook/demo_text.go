package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// visible writes what would move the cursor, change the direction of the text or not be seen (controls, bidirectional
// marks, zero-width and private characters) as JSON escapes, so that no payload can paint over what a page says of it.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// columns is how wide a text is on a terminal, as far as East Asian, emoji and combining characters go.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), r >= 0xFF01 && r <= 0xFF60, r >= 0x1F300 && r <= 0x1FAFF:
		return 2
	}
	return 1
}

// cut shortens a text to so many columns; an ellipsis stands for what is gone.
func cut(text string, width int) string {
	if columns(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	n := 0
	for i, r := range text {
		if n += runeColumns(r); n > width-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// linePair is a row of two texts beside each other; one of them is empty where a line has no partner.
type linePair struct {
	before, after string
	same          bool
}

// compareLines pairs the lines of two texts by a longest common subsequence. The comma at a line's end does not count:
// it changes when the line after it goes.
func compareLines(before, after []string) []linePair {
	equal := func(i, j int) bool { return strings.TrimSuffix(before[i], ",") == strings.TrimSuffix(after[j], ",") }
	longest := make([][]int, len(before)+1) // of before[i:] and after[j:]
	for i := range longest {
		longest[i] = make([]int, len(after)+1)
	}
	for i := len(before) - 1; i >= 0; i-- {
		for j := len(after) - 1; j >= 0; j-- {
			if equal(i, j) {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var rows []linePair
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		var gone, came []string
		for i < len(before) && (j == len(after) || !equal(i, j) && longest[i+1][j] >= longest[i][j+1]) {
			gone = append(gone, before[i])
			i++
		}
		for j < len(after) && (i == len(before) || !equal(i, j) && longest[i][j+1] > longest[i+1][j]) {
			came = append(came, after[j])
			j++
		}
		rows = append(rows, besides(gone, came)...)
		for i < len(before) && j < len(after) && equal(i, j) {
			rows = append(rows, linePair{before[i], after[j], true})
			i, j = i+1, j+1
		}
	}
	return rows
}

// besides puts lines that went beside those that came in their stead: a renamed property has the same value.
func besides(gone, came []string) []linePair {
	var rows []linePair
	alone := func(lines []string) {
		for _, line := range lines {
			rows = append(rows, linePair{before: line})
		}
	}
	for _, line := range came {
		at := slices.IndexFunc(gone, func(other string) bool { return valueOf(other) == valueOf(line) })
		if at < 0 {
			rows = append(rows, linePair{after: line})
			continue
		}
		alone(gone[:at])
		rows = append(rows, linePair{before: gone[at], after: line})
		gone = gone[at+1:]
	}
	alone(gone)
	return rows
}

// valueOf is the value in a line of a JSON object.
func valueOf(line string) string {
	_, value, _ := strings.Cut(line, `": `)
	return strings.TrimSuffix(value, ",")
}
