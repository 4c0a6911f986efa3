// Uses an unmodified client of signal-cli: sdk, script to start, own UUID.
const [sdk, script, me] = process.argv.slice(2)
const { SignalCli } = require(sdk)
const wait = async (what) => {
  for (;;) {
    const v = what()
    if (v) return v
    await new Promise((done) => setTimeout(done, 20))
  }
}
const main = async () => {
  const s = new SignalCli(script, me)
  const got = []
  s.on("message", (m) => got.push(m.envelope))
  s.on("error", (e) => { throw e })
  await s.connect()
  const [bob] = await s.listContacts()
  const sent = await s.sendMessage(bob.uuid, "to be deleted")
  console.log("ready") // the other side says something now
  const e = await wait(() => got.find((e) => e.dataMessage?.message))
  await s.sendReaction(bob.uuid, bob.uuid, e.dataMessage.timestamp, "👍")
  await s.sendReceipt(bob.uuid, e.dataMessage.timestamp, "read")
  await s.sendTyping(bob.uuid)
  await s.remoteDeleteMessage(bob.uuid, sent.timestamp)
  await wait(() => got.find((e) => e.receiptMessage?.isDelivery))
  const safety = await s.listIdentities()
  console.log(JSON.stringify({ name: bob.name, text: e.dataMessage.message, from: e.sourceUuid === bob.uuid, groups: await s.listGroups(), numbers: safety.length }))
  await s.gracefulShutdown()
}
main().catch((e) => { console.error(e); process.exit(1) })
