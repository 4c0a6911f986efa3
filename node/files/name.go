package files

import (
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// runs are endings of names that systems run, or follow, when they are opened.
var runs = func() map[string]bool {
	out := map[string]bool{}
	for _, e := range strings.Fields(`exe com bat cmd scr pif cpl msi msp msix appx appinstaller gadget dll sys ocx drv
		vb vbs vbe js jse ws wsf wsh wsc hta ps1 psm1 psd1 ps1xml psc1 msh msh1 mshxml reg inf scf url lnk website library-ms search-ms
		settingcontent-ms diagcab xll iso img vhd vhdx jar jnlp class application app command action workflow scpt scptd applescript
		terminal tool pkg mpkg dmg desktop directory sh bash zsh csh ksh fish run bin elf out appimage flatpakref snap deb rpm so o ko
		py pyc pyo pyw pyz pl rb php lua tcl html htm xhtml mht mhtml svg svgz xml xsl xslt swf chm hlp rdp docm dotm xlsm xltm xlam pptm
		potm ppam ppsm sldm slk iqy one mde accde ade adp`) {
		out["."+e] = true
	}
	return out
}()

// reserved are names that Windows gives to devices.
var reserved = func() map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields("con prn aux nul com0 com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9 conin$ conout$ clock$") {
		out[n] = true
	}
	return out
}()

// harmless ends the name of a file that would be run.
const harmless = ".download"

// maxName is the longest name given to a file, in bytes.
const maxName = 200

// SafeName is what a file that somebody called name, and that is of a kind, is
// called on this machine: one name in one folder on every system, that shows
// its real ending, isn't hidden and doesn't make the file run (spec §15.3). An empty kind is
// not known.
func SafeName(name, kind string) string {
	clean := plain(name)
	base, ending := split(clean)
	if kind != "" && !ofKind(ending, kind) && kind != "application/octet-stream" && kind != "text/plain" && kind != "application/x-empty" {
		// It is something else than it says: what it is comes last.
		if list := endings[kind]; list != nil {
			ending = list[0]
		} else {
			ending = harmless
		}
		base = clean
	} else if kind == "application/octet-stream" && !ofKind(ending, kind) {
		base, ending = clean, harmless
	}
	if runs[strings.ToLower(ending)] {
		base, ending = base+ending, harmless
	}
	if reserved[strings.ToLower(strings.TrimRight(before(base), " "))] {
		base = "_" + base
	}
	for len(base)+len(ending) > maxName {
		_, n := utf8.DecodeLastRuneInString(base)
		base = base[:len(base)-n]
	}
	return strings.TrimRight(base, " .") + ending
}

// before is the part of a name before its first dot.
func before(s string) string {
	s, _, _ = strings.Cut(s, ".")
	return s
}

// split parts a name before its last dot.
func split(name string) (base, ending string) {
	ending = filepath.Ext(name)
	if len(ending) > 16 || ending == "." || strings.ContainsFunc(ending[min(1, len(ending)):], func(r rune) bool {
		return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
	}) {
		return name, ""
	}
	return strings.TrimSuffix(name, ending), ending
}

// plain replaces what could leave the folder, change the direction of the text,
// push the ending out of sight, hide the file or not be kept by some system.
func plain(name string) string {
	var b strings.Builder
	space := false
	for _, r := range strings.ToValidUTF8(name, "_") {
		switch {
		case strings.ContainsRune(`/\<>:"|?*`, r), unicode.IsControl(r), r == '\u2024', r == '\u2215', r == '\u2044', r == '\uff0f', r == '\uff3c', r == '\uff0e', r == '\u29f8', r == '\u29f5':
			r = '_'
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Variation_Selector, r), r == '\u115f', r == '\u1160', r == '\u3164', r == '\uffa0', r == '\u2800':
			continue // seen by nobody
		case unicode.IsSpace(r):
			if !space {
				b.WriteByte(' ')
			}
			space = true
			continue
		}
		space = false
		b.WriteRune(r)
	}
	out := strings.Trim(b.String(), " ")
	out = strings.TrimRight(strings.TrimLeft(out, ".~ "), ". ")
	if out == "" {
		return "file"
	}
	if strings.HasPrefix(out, "-") {
		out = "_" + out[1:]
	}
	return out
}
