package media

// exifTags are what tags of a picture's own and the Exif directory tell; empty
// is nothing.
var exifTags = map[uint16]Trace{
	0x010f: Device, 0x0110: Device, 0xc62f: Device, 0x927c: Device, 0xa430: Author, 0xa431: Device, 0xa432: Device, 0xa433: Device,
	0xa434: Device, 0xa435: Device,
	0x0131: Software, 0x000b: Software,
	0x0132: Time, 0x9003: Time, 0x9004: Time, 0x9010: Time, 0x9011: Time, 0x9012: Time,
	0x013b: Author, 0x8298: Author, 0x9c9d: Author,
	0x010e: Text, 0x9286: Text, 0x9c9b: Text, 0x9c9c: Text, 0x9c9e: Text, 0x9c9f: Text,
	0x0112: "", 0x0213: "", 0x9000: "", 0x9101: "", 0xa000: "", 0xa001: "", 0xa002: "", 0xa003: "",
}

var gpsTags = map[uint16]Trace{
	0x00: "", 0x01: Place, 0x02: Place, 0x03: Place, 0x04: Place, 0x05: Place, 0x06: Place, 0x07: Time, 0x1d: Time,
}

// iptc are datasets of record 2 of IPTC-IIM 4.2.
var iptc = map[byte]Trace{
	5: Text, 25: Text, 105: Text, 120: Text, 55: Time, 60: Time, 90: Place, 92: Place, 95: Place, 101: Place, 80: Author, 110: Author,
	116: Author, 65: Software,
}

// wordsAnywhere are names in XMP, in texts of PNG files and in Apple's keys,
// long enough not to be there by chance.
var wordsAnywhere = map[Trace][]string{
	Place:    {"exif:GPS", "GPSLatitude", "photoshop:City", "photoshop:Country", "Iptc4xmpCore:Location", "com.apple.quicktime.location"},
	Time:     {"xmp:CreateDate", "xmp:ModifyDate", "photoshop:DateCreated", "exif:DateTime", "com.apple.quicktime.creationdate", "creation_time", "Creation Time"},
	Device:   {"tiff:Make", "tiff:Model", "aux:SerialNumber", "exifEX:BodySerialNumber", "com.apple.quicktime.make", "com.apple.quicktime.model"},
	Software: {"xmp:CreatorTool", "Software\x00", "com.apple.quicktime.software"},
	Author:   {"dc:creator", "dc:rights", "photoshop:Credit", "Author\x00", "Artist\x00", "Copyright\x00", "com.apple.quicktime.author"},
	Text:     {"dc:title", "dc:description", "dc:subject", "Title\x00", "Description\x00", "Comment\x00", "com.apple.quicktime.title", "com.apple.quicktime.comment"},
	Other:    {"xmpMM:", "Raw profile type", "photoshop:History"},
}

var (
	wordsFilm = map[Trace][]string{
		Place: {"\xa9xyz", "loci"}, Time: {"\xa9day"}, Device: {"\xa9mak", "\xa9mod"}, Software: {"\xa9too", "\xa9swr"},
		Author: {"\xa9ART", "\xa9aut", "\xa9cpy", "cprt", "auth"}, Text: {"\xa9nam", "\xa9cmt", "\xa9des", "titl", "dscp"},
	}
	wordsVorbis = map[Trace][]string{
		Place: {"LOCATION="}, Time: {"DATE="}, Software: {"ENCODER=", "encoder=", "Lavf", "libVorbis", "reference libFLAC"}, Author: {"ARTIST=", "artist=", "COPYRIGHT="},
		Text: {"TITLE=", "title=", "COMMENT=", "comment=", "DESCRIPTION="},
	}
)

// wordsOf are names that only in files of a type mean what they say.
var wordsOf = map[Type]map[Trace][]string{
	PNG: {Time: {"tIME"}},
	MP4: wordsFilm, MOV: wordsFilm, M4A: wordsFilm,
	MP3: {
		Time: {"TDRC", "TYER", "TDRL", "TDAT"}, Software: {"TSSE", "TENC"}, Author: {"TPE1", "TPE2", "TCOM", "TCOP"},
		Text: {"TIT2", "COMM", "TALB", "USLT", "TXXX"}, Thumbnail: {"APIC"}, Device: {"TSRC"}, Other: {"PRIV", "UFID"},
	},
	FLAC: wordsVorbis, Ogg: wordsVorbis,
	WAV: {Time: {"ICRD", "IDIT"}, Software: {"ISFT"}, Author: {"IART", "ICOP", "IENG"}, Text: {"INAM", "ICMT", "ISBJ"}, Other: {"bext", "iXML"}},
	WebM: {
		Place: {"LOCATION"}, Time: {"\x44\x61\x88", "DATE"}, Software: {"Lavf", "Lavc", "ENCODER", "libwebm", "Chrome", "mkvmerge"}, Author: {"ARTIST", "COPYRIGHT"},
		Text: {"TITLE", "COMMENT"},
	},
}
