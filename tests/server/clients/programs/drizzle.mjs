// drizzle-orm on PostgreSQL: numbered parameters from 1, RETURNING, DEFAULT, joins, transactions with savepoints.
import { RDSDataClient } from '@aws-sdk/client-rds-data'
import { count, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/aws-data-api/pg'
import { boolean, date, integer, jsonb, numeric, pgTable, serial, timestamp, uuid, varchar } from 'drizzle-orm/pg-core'

const items = pgTable('items', {
  id: serial('id').primaryKey(),
  name: varchar('name', { length: 20 }).notNull(),
  price: numeric('price', { precision: 10, scale: 2 }),
  sold: timestamp('sold'),
  fresh: boolean('fresh').default(true),
  key: uuid('key'),
})
const notes = pgTable('notes', {
  id: serial('id').primaryKey(),
  item: integer('item').references(() => items.id),
  body: jsonb('body'),
  day: date('day'),
})
const db = drizzle({
  client: new RDSDataClient({ endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION }),
  database: 'shop',
  resourceArn: process.env.RESOURCE_ARN,
  secretArn: process.env.SECRET_ARN,
})
const shown = {}
await db.execute(sql`CREATE TABLE notes (id serial PRIMARY KEY, item int REFERENCES items (id), body jsonb, day date)`)
const sold = new Date(Date.UTC(2024, 1, 29, 12, 30, 0, 250))
shown.inserted = await db.insert(items).values([
  { name: 'pear', price: '2.50', sold, key: '00000000-0000-0000-0000-000000000007' },
  { name: 'plum' },
]).returning({ id: items.id, price: items.price, fresh: items.fresh, sold: items.sold })
await db.insert(notes).values({ item: shown.inserted[0].id, body: { a: [1] }, day: '2024-02-29' })
shown.joined = await db.select({ name: items.name, body: notes.body, day: notes.day }).from(notes).innerJoin(items, eq(items.id, notes.item))
shown.updated = await db.update(items).set({ price: '3.00' }).where(eq(items.name, 'pear')).returning({ price: items.price })
await db.transaction(async (tx) => {
  await tx.insert(items).values({ name: 'kept' })
  try {
    await tx.transaction(async (inner) => {
      await inner.insert(items).values({ name: 'undone' })
      inner.rollback()
    })
  } catch (e) { /* the savepoint is rolled back */ }
})
try {
  await db.transaction(async (tx) => {
    await tx.delete(notes)
    await tx.execute(sql`SELECT * FROM missing`)
  })
} catch (e) {
  const cause = e.cause ?? e
  shown.error = [cause.name, cause.message]
}
shown.notes = await db.select({ n: count() }).from(notes)
shown.raw = (await db.execute(sql`SELECT name, price FROM items WHERE name LIKE ${'p%'} ORDER BY id`)).rows
shown.names = (await db.select({ name: items.name }).from(items).orderBy(items.id)).map((row) => row.name)
console.log(JSON.stringify(shown))
