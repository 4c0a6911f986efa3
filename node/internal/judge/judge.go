// Package judge looks at cleaned files with the programs that people use to
// find what a file tells: exiftool and mat2. It is for tests.
package judge

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Canary stands in everything that [Tell] writes.
const Canary = "Canary"

// Program finds one of Debian's, or skips the test.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (Debian package %s)", name, debian)
	}
	return path
}

// Corpus is the directory with the pictures of imagemeta's own tests.
func Corpus(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/bep/imagemeta").Output()
	if err != nil {
		t.Fatal("finding imagemeta's corpus:", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "testdata", "images")
}

// told is what exiftool is asked to write into files, as far as each can hold it.
var told = []string{
	"-GPSLatitude=48.8577", "-GPSLatitudeRef=N", "-GPSLongitude=2.295", "-GPSLongitudeRef=E", "-GPSCoordinates=48.8577 2.295",
	"-Make=Canon CanaryMake", "-Model=CanaryModel", "-SerialNumber=Canary123", "-Software=CanarySoft", "-Artist=CanaryArtist",
	"-Copyright=CanaryRights", "-UserComment=CanaryUser", "-Comment=CanaryComment", "-ImageDescription=CanaryText",
	"-DateTimeOriginal=2020:01:02 03:04:05", "-Orientation#=6",
	"-XMP-dc:Title=CanaryTitle", "-XMP-dc:Creator=CanaryCreator", "-XMP-xmpMM:DocumentID=CanaryID", "-XMP-photoshop:History=CanaryHistory",
	"-IPTC:City=CanaryCity", "-IPTC:Keywords=CanaryKey", "-Photoshop:CopyrightFlag=1", "-JFIF:XResolution=123",
	"-PNG:Author=CanaryAuthor", "-PNG:Description=CanaryZ", "-Title=CanaryTitle", "-Author=CanaryAuthor", "-Keywords=CanaryKeys",
	"-QuickTime:Title=CanaryTitle", "-UserData:Comment=CanaryUD", "-Keys:Author=CanaryKA", "-QuickTime:CreateDate=2020:01:02 03:04:05",
	"-TrackCreateDate=2020:01:02 03:04:05", "-MediaCreateDate=2020:01:02 03:04:05",
}

// Tell writes metadata of every kind that exiftool can write into the files of
// a directory, with a picture as their thumbnail, and the maker's notes of
// another one. It returns what exiftool said.
func Tell(t testing.TB, exiftool, dir, thumbnail, notes string) string {
	t.Helper()
	quiet := []string{"-q", "-q", "-m", "-overwrite_original"}
	said, _ := exec.Command(exiftool, slices.Concat(quiet, []string{"-tagsFromFile", notes, "-all:all", "-MakerNotes", dir})...).CombinedOutput()
	more, _ := exec.Command(exiftool, slices.Concat(quiet, told, []string{"-ThumbnailImage<=" + thumbnail, dir})...).CombinedOutput()
	return string(said) + string(more)
}

// allowed are the names of tags, as exiftool has them, that a cleaned file may
// have: what a picture is like, and nothing of where it comes from.
var allowed = strings.Fields(`
	SourceFile ExifToolVersion FileName Directory FileSize FileModifyDate FileAccessDate FileInodeChangeDate FilePermissions
	FileType FileTypeExtension MIMEType ExifByteOrder Orientation
	ImageWidth ImageHeight ImageSize Megapixels BitDepth BitsPerSample ColorType ColorComponents Compression Filter Interlace
	EncodingProcess YCbCrSubSampling YCbCrPositioning
	JFIFVersion ResolutionUnit XResolution YResolution
	DCTEncodeVersion APP14Flags0 APP14Flags1 ColorTransform
	Gamma WhitePointX WhitePointY RedX RedY GreenX GreenY BlueX BlueY SRGBRendering BackgroundColor SignificantBits
	GIFVersion HasColorMap ColorResolutionDepth BitsPerPixel AnimationIterations FrameCount Duration TransparentColor Transparency Palette PixelAspectRatio
	VP8Version HorizontalScale VerticalScale WebP_Flags AnimationLoopCount AlphaPreprocessing AlphaFiltering AlphaCompression AlphaIsUsed
	MajorBrand MinorVersion CompatibleBrands MediaDataSize MediaDataOffset MediaData HandlerType HandlerClass PrimaryItemReference Unknown_free
	PDFVersion Linearized PageCount Producer Rotation AvgBitrate
	BlockSizeMin BlockSizeMax FrameSizeMin FrameSizeMax SampleRate Channels TotalSamples MD5Signature NumChannels AvgBytesPerSec
	MPEGAudioVersion AudioLayer AudioBitrate ChannelMode MSStereo IntensityStereo CopyrightFlag OriginalMedia Emphasis
	VorbisVersion AudioChannels NominalBitrate
`)

// origins are in the names of tags of films that tell where they come from.
var origins = strings.Fields(`
	GPS Make Model Serial Software Encoder Author Artist Title Comment Location Creat Descr Vendor Copyright TimeCode Text Compressor Auxiliary
`)

// Permitted tells whether a tag with a value may be there.
func Permitted(tag, value string) bool {
	group, name, _ := strings.Cut(tag, ":")
	switch {
	case name == "SampleGroupDescription", name == "CompressorID", tag == "RIFF:Encoding": // numbers, and the codec
		return true
	case name == "ProfileName":
		return value == "icc" // every profile's, in a PNG file
	case name == "Vendor", group == "Matroska" && strings.HasSuffix(name, "App"):
		return strings.TrimSpace(value) == ""
	case name == "":
		return slices.Contains(allowed, group)
	case group == "Matroska": // its structure, and nothing that somebody named
		return !slices.ContainsFunc(append([]string{"Date", "Tag", "Name"}, origins...), func(s string) bool { return strings.Contains(name, s) })
	case strings.HasPrefix(group, "ICC"):
		return !strings.Contains(name, "Date") || strings.HasPrefix(value, "2000:01:01 00:00:00")
	case strings.HasSuffix(name, "Date"), strings.HasSuffix(name, "Producer"):
		return group == "System" || strings.Trim(value, " 0:") == ""
	case strings.HasPrefix(group, "Track"), group == "QuickTime", group == "Meta":
		return strings.Trim(value, " 0:\x00") == "" || !slices.ContainsFunc(origins, func(s string) bool { return strings.Contains(name, s) })
	}
	return slices.Contains(allowed, name)
}

// Tags reads what exiftool finds in the files of a directory, unknown and
// embedded tags included.
func Tags(t testing.TB, exiftool, dir string) map[string]map[string]string {
	t.Helper()
	out, err := exec.Command(exiftool, "-j", "-a", "-u", "-ee", "-G1", "-s", dir).Output()
	var list []map[string]any
	if jerr := json.Unmarshal(out, &list); jerr != nil {
		t.Fatal(err, jerr)
	}
	found := map[string]map[string]string{}
	for _, file := range list {
		values := map[string]string{}
		for k, v := range file {
			values[k] = fmt.Sprint(v)
		}
		found[filepath.Base(values["SourceFile"])] = values
	}
	return found
}

// Mat2 reads what mat2 shows of each of some files, by base name and tag. What
// it can't read is not in the result.
func Mat2(t testing.TB, mat2 string, paths ...string) map[string]map[string]string {
	t.Helper()
	out, err := exec.Command(mat2, append([]string{"--show"}, paths...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("mat2: %v: %s", err, out)
	}
	found := map[string]map[string]string{}
	var of map[string]string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if none, ok := strings.CutPrefix(strings.TrimSpace(line), "No metadata found in "); ok {
			found[filepath.Base(strings.TrimSuffix(none, "."))] = map[string]string{}
		} else if about, ok := strings.CutPrefix(line, "[+] Metadata for "); ok {
			of = map[string]string{}
			found[filepath.Base(strings.TrimSuffix(about, ":"))] = of
		} else if strings.HasPrefix(line, "[") {
			of = nil
		} else if tag, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && of != nil {
			of[tag] = value
		}
	}
	return found
}

// Left is what exiftool and mat2 find in the files of a directory that may not
// be there, by base name. mat2 shows tags without their groups: it finds too
// much where exiftool has no such tag that is permitted. seen are the files that
// mat2 can read.
func Left(t testing.TB, exiftool, mat2, dir string) (left map[string][]string, seen map[string]bool) {
	t.Helper()
	left, seen = map[string][]string{}, map[string]bool{}
	names := map[string]map[string]bool{}
	var paths []string
	for file, tags := range Tags(t, exiftool, dir) {
		paths = append(paths, filepath.Join(dir, file))
		names[file] = map[string]bool{}
		for tag, value := range tags {
			if Permitted(tag, value) {
				names[file][tag[strings.LastIndex(tag, ":")+1:]] = true
			} else {
				left[file] = append(left[file], "exiftool: "+tag+" = "+value)
			}
		}
	}
	for file, tags := range Mat2(t, mat2, paths...) {
		seen[file] = true
		for tag, value := range tags {
			pdf := tag == "format" || strings.HasSuffix(tag, "-date") && value == "-1" // the version, and no date
			if !names[file][tag] && !pdf {
				left[file] = append(left[file], "mat2: "+tag+" = "+value)
			}
		}
	}
	return left, seen
}
